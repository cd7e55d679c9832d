"""What the fork server imports last: from now on it sees by itself whether anybody is left who needs it."""

from a3crepro.common.processes import end_with_parent

end_with_parent(False)
