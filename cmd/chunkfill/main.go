// Command chunkfill rewrites large tables inside a live SQLite database.
package main

func main() {}
