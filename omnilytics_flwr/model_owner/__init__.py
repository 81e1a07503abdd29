"""The model owner's side, without Flower: collecting, opening, proving and settling a round."""
