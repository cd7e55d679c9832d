"""One actor-learner, and what actor-learners share."""
