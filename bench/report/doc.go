// Package report presents the results of a benchmark: a page with charts that needs no
// network, and tables in Markdown.
package report
