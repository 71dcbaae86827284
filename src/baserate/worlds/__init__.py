"""Known-truth platforms: the yardstick for everything else. ``replay`` replays scored texts."""
