"""Gas of a round against weights, data owners and groups; real commitments and proofs, no training."""
