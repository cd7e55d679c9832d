"""Actor-learners of one process that take turns."""

from collections import deque

from a3crepro.learner.actor_learner import ActorLearner


class Turns:
    """Hogwild without its processes: an actor-learner applies its gradient while the others hold theirs."""

    def __init__(self, config, shared):
        self.learners = [ActorLearner(config, shared, thread, 0, lambda _: None) for thread in range(config.threads)]
        self.rollouts = deque((learner, learner.compute_gradient()) for learner in self.learners)

    def advance(self):
        learner, rollout = self.rollouts.popleft()
        learner.apply_gradient(rollout)
        self.rollouts.append((learner, learner.compute_gradient()))
