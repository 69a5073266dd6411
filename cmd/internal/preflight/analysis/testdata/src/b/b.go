package b

// Lines is SQL from elsewhere.
func Lines() string { return "" }
