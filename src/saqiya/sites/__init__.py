"""Where a policy acts: simulators and adapters for real cells."""
