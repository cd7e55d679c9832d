"""Imported first by the fork server: it ends if its parent ends while it imports or compiles."""

from a3crepro.common.processes import end_with_parent

end_with_parent(True)
