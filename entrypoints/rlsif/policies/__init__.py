"""An agent in NumPy: what it makes of observations, its networks, how it draws actions. Needs nothing but NumPy."""
