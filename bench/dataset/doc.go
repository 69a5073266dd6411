// Package dataset generates the database that the demo and the benchmarks rewrite, and
// checks the rewritten table.
//
// The table is that of a radio-mesh ingestor: observations of packets, each with the packet
// as hex text and, once filled, the path it took as JSON. A table follows from its [Config]
// alone: the same seed gives the same rows, so that [Model] can say what each row holds
// before and after the rewrite without a database. Packets are composed from known hops;
// nothing here decodes one, so the model shares no code with the job it checks.
package dataset
