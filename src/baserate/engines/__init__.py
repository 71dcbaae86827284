"""Where rows live: engines that run expressions, the keyed hash, the store of tables."""
