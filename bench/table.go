package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// row is one server in one workload.
type row struct {
	group   group
	server  server
	samples []sample
}

// table is everything that was measured.
type table struct{ rows []row }

// median is the middle of what of gives for the samples.
func median[T cmp.Ordered](r row, of func(sample) T) T {
	var all []T
	for _, s := range r.samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (r row) perSecond() float64 { return median(r, func(s sample) float64 { return s.PerSecond() }) }
func (r row) cpu() time.Duration { return median(r, func(s sample) time.Duration { return s.cpu }) }

// print writes the table as Markdown.
func (t table) print(w io.Writer) {
	lines := [][]string{{"workload", "server", "token", "signing", "HTTP/op", "op/s", "p50 ms", "p99 ms", "server CPU µs/op", "database CPU µs/op", "resident MB"}}
	for _, r := range t.rows {
		database := "-"
		if r.server.engine == "postgres" {
			database = micros(median(r, func(s sample) time.Duration { return s.databaseCPU }))
		}
		lines = append(lines, []string{
			r.group.workload, r.server.name, formatOf(r.group, r.server), r.group.signing,
			fmt.Sprintf("%.0f", median(r, func(s sample) float64 { return s.Requests })),
			fmt.Sprintf("%.0f", r.perSecond()),
			millis(median(r, func(s sample) time.Duration { return s.P50 })),
			millis(median(r, func(s sample) time.Duration { return s.P99 })),
			micros(r.cpu()), database,
			fmt.Sprintf("%.0f", float64(median(r, func(s sample) int64 { return s.resident }))/(1<<20)),
		})
	}
	printLines(w, lines)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/1e6) }
func micros(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/1e3) }

// printLines writes cells in columns; the first line is the header.
func printLines(w io.Writer, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprintf(w, "|%s", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
	fmt.Fprintln(w)
}
