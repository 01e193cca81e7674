"""What each kind of node of a job does, top to bottom: head, rollout, learner."""
