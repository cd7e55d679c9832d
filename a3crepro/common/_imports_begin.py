"""What the fork server imports first: it must not go on importing, or compiling, for a run that is gone."""

from a3crepro.common.processes import end_with_parent

end_with_parent(True)
