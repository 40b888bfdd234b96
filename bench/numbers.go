package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// number is one of the numbers that must hold: of two rows of one workload, taken
// in turns, the ratio of the medians of operations per second.
type number struct {
	what     string
	workload string
	ours     server
	// against is the row to compare with; the fastest of several.
	against []server
	atLeast float64
}

var numbers = []number{
	{"Protect on a JWT takes at most 1.5x of bare verification and one read, SQLite", "protect/JWT", oursSQLite, []server{bareSQLite}, 1 / 1.5},
	{"Protect on a JWT takes at most 1.5x of bare verification and one read, PostgreSQL", "protect/JWT", oursPostgres, []server{barePostgres}, 1 / 1.5},
	{"client credentials, ES256, at least 0.7x of the control, SQLite", "client_credentials/ES256", oursSQLite, []server{bareSQLite}, 0.7},
	{"client credentials, ES256, at least 0.7x of the control, PostgreSQL", "client_credentials/ES256", oursPostgres, []server{barePostgres}, 0.7},
	{"introspection at least 0.7x of the control, SQLite", "introspection/JWT", oursSQLite, []server{bareSQLite}, 0.7},
	{"introspection at least 0.7x of the control, PostgreSQL", "introspection/JWT", oursPostgres, []server{barePostgres}, 0.7},
	{"code flow on PostgreSQL at least 0.8x of the best Go peer in memory, RS256", "code/RS256", oursPostgres, []server{zitadel, fositeSHA256}, 0.8},
	{"code flow on PostgreSQL at least 0.8x of the best Go peer in memory, ES256", "code/ES256", oursPostgres, []server{fositeSHA256}, 0.8},
}

// find returns the row of a server in a workload.
func (t table) find(workload string, s server) (row, bool) {
	i := slices.IndexFunc(t.rows, func(r row) bool { return r.group.workload == workload && r.server.name == s.name })
	if i < 0 {
		return row{}, false
	}
	return t.rows[i], true
}

// printNumbers says which numbers hold. The ratio is that of operations per
// second; that of server CPU for one operation is beside it.
func (t table) printNumbers(w io.Writer) {
	lines := [][]string{{"number that must hold", "op/s", "against", "ratio", "least", "CPU ratio", "verdict"}}
	for _, n := range numbers {
		ours, ok := t.find(n.workload, n.ours)
		if !ok {
			continue
		}
		best, ok := t.best(n)
		if !ok {
			continue
		}
		ratio := ours.perSecond() / best.perSecond()
		verdict := "met"
		if ratio < n.atLeast {
			verdict = "NOT MET"
		}
		lines = append(lines, []string{n.what, fmt.Sprintf("%.0f", ours.perSecond()), fmt.Sprintf("%.0f %s", best.perSecond(), strings.SplitN(best.server.name, ",", 2)[0]),
			fmt.Sprintf("%.2f", ratio), fmt.Sprintf("%.2f", n.atLeast), fmt.Sprintf("%.2f", float64(ours.cpu())/float64(best.cpu())), verdict})
	}
	if len(lines) > 1 {
		printLines(w, lines)
	}
}

func (t table) best(n number) (row, bool) {
	var best row
	found := false
	for _, s := range n.against {
		if r, ok := t.find(n.workload, s); ok && (!found || r.perSecond() > best.perSecond()) {
			best, found = r, true
		}
	}
	return best, found
}
