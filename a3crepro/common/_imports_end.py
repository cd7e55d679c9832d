"""Imported last by the fork server: from now on it notices the end of its parent itself."""

from a3crepro.common.processes import end_with_parent

end_with_parent(False)
