package dbtest

import (
	"context"
	"sync"
	"time"
)

// gatePatience is how long callers wait for the others at a gate. A test whose
// callers do not all come goes on without the race it is about, and its own
// assertions say whether that matters.
const gatePatience = 10 * time.Second

// gate holds callers back until n of them wait, and lets them go all at once:
// all have read before the first writes. A caller that comes later passes.
type gate struct {
	// meet is called once, by the last to come, before the gate opens. It waits
	// for the gates of other processes; nil for none.
	meet func()

	mu      sync.Mutex
	missing int
	open    chan struct{}
}

func newGate(n int) *gate { return &gate{missing: n, open: make(chan struct{})} }

// wait has the signature of people.visit.
func (g *gate) wait(context.Context) error {
	g.mu.Lock()
	g.missing--
	last := g.missing == 0
	g.mu.Unlock()
	if last {
		if g.meet != nil {
			g.meet()
		}
		close(g.open)
	}
	select {
	case <-g.open:
	case <-time.After(gatePatience):
	}
	return nil
}

// inParallel calls fn n times, each in a goroutine of its own, from one gate.
func inParallel(n int, fn func(i int)) { newGate(n).run(n, fn) }

// run calls fn n times, each in a goroutine of its own that waits first.
func (g *gate) run(n int, fn func(i int)) {
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			g.wait(context.Background())
			fn(i)
		})
	}
	done.Wait()
}
