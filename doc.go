// Package chunkfill is the root of a library that rewrites large tables inside
// a live SQLite database, a small primary-key range at a time, while the
// application keeps writing. The entry point is package engine.
package chunkfill
