// Package otel is an example: an [engine.Observer] that reports to a meter of OpenTelemetry.
// Copy what you need of it. It is a module of its own, so that nobody else gets its
// dependencies.
package otel
