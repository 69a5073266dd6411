// Package report shows the results of a benchmark to people: a page with charts
// that needs no network, and tables in Markdown.
package report
