package main

import (
	"fmt"
	"io"
	"time"

	"github.com/lockspire/lockspire/bench/internal/child"
	"github.com/lockspire/lockspire/bench/internal/load"
)

// memoryLimit is what a server may be resident in after a million tokens.
const memoryLimit = 64 << 20

// printMemory has one server issue so many tokens that whatever it kept of each
// would show.
func (b *bench) printMemory(w io.Writer) error {
	if b.tokens == 0 {
		return nil
	}
	lines := [][]string{{"resident memory after tokens", "tokens", "now MB", "peak MB", "most MB", "verdict"}}
	for _, s := range b.chosen([]server{oursSQLite, oursPostgres}) {
		now, peak, issued, err := b.memoryAfter(s)
		if err != nil {
			return err
		}
		verdict := "met"
		if peak >= memoryLimit {
			verdict = "NOT MET"
		}
		lines = append(lines, []string{s.name, fmt.Sprint(issued), fmt.Sprint(now >> 20), fmt.Sprint(peak >> 20), fmt.Sprint(memoryLimit >> 20), verdict})
	}
	printLines(w, lines)
	return nil
}

func (b *bench) memoryAfter(s server) (now, peak int64, issued int, err error) {
	const workload = "client_credentials/ES256"
	p, clean, err := b.start(workload, s)
	if err != nil {
		return 0, 0, 0, err
	}
	defer clean()
	defer p.Stop()
	for issued < b.tokens {
		result, err := load.Run(p.Server.Addr, p.Server.Workloads[workload], b.workers, 0, 5*time.Second, func() {}, func() {})
		if err != nil {
			return 0, 0, issued, err
		}
		issued += result.Operations
	}
	now, peak, err = child.Memory(p.PID())
	return now, peak, issued, err
}
