"""The ground floor: names, validation, YAML, atomic files, machine facts. Private to kerastrain."""
