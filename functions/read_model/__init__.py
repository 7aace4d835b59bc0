"""The read model: everything that a person sees, computed from the stores."""
