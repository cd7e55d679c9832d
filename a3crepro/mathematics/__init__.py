"""The methods' mathematics: returns, losses and exploration, as pure functions of one trajectory."""
