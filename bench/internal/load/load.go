// Package load is the load generator: a fixed number of workers, each with one
// keep-alive connection, that repeat one operation for a while.
package load

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

// Result is what one run of a workload gave.
type Result struct {
	Operations int
	Elapsed    time.Duration
	P50, P99   time.Duration
	// Requests is how many HTTP requests an operation took.
	Requests float64
}

// PerSecond is operations per second.
func (r Result) PerSecond() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

// operation does its work once over the worker's connection and counts its
// requests. It keeps what a browser or client would.
type operation func(c *conn, a *answer) (requests int, err error)

// Run repeats w on that many connections, for warmUp and then for d, and reports
// on the latter. A server so slow that fewer operations than connections end is
// given more time. begin and end are called around that, for whoever measures the
// server meanwhile. One failed operation ends the run with its error.
func Run(addr string, w ready.Workload, workers int, warmUp, d time.Duration, begin, end func()) (Result, error) {
	var measuring, stop atomic.Bool
	var ended atomic.Int64
	results := make([]worker, workers)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			results[i].run(addr, newOperation(w, i), &measuring, &stop, &ended)
			if results[i].err != nil {
				stop.Store(true)
			}
		})
	}
	sleepUnless(&stop, warmUp)
	begin()
	started := time.Now()
	measuring.Store(true)
	sleepUnless(&stop, d)
	for ended.Load() < int64(workers) && !stop.Load() && time.Since(started) < d+patience {
		sleepUnless(&stop, d/10)
	}
	measuring.Store(false)
	elapsed := time.Since(started)
	end()
	stop.Store(true)
	group.Wait()
	return collect(results, elapsed)
}

func sleepUnless(stop *atomic.Bool, d time.Duration) {
	for deadline := time.Now().Add(d); !stop.Load() && time.Now().Before(deadline); {
		time.Sleep(min(10*time.Millisecond, time.Until(deadline)))
	}
}

// worker is one connection's part of a run.
type worker struct {
	latencies []time.Duration
	requests  int
	err       error
}

func (w *worker) run(addr string, do operation, measuring, stop *atomic.Bool, ended *atomic.Int64) {
	c := &conn{addr: addr}
	defer c.close()
	var a answer
	for !stop.Load() {
		began := time.Now()
		requests, err := do(c, &a)
		if err != nil {
			w.err = err
			return
		}
		if measuring.Load() {
			w.latencies = append(w.latencies, time.Since(began))
			w.requests += requests
			ended.Add(1)
		}
	}
}

func collect(workers []worker, elapsed time.Duration) (Result, error) {
	var all []time.Duration
	requests := 0
	for _, w := range workers {
		if w.err != nil {
			return Result{}, w.err
		}
		all = append(all, w.latencies...)
		requests += w.requests
	}
	if len(all) == 0 {
		return Result{}, fmt.Errorf("no operation ended within %s", elapsed)
	}
	slices.Sort(all)
	return Result{
		Operations: len(all), Elapsed: elapsed,
		P50: all[len(all)/2], P99: all[len(all)*99/100],
		Requests: float64(requests) / float64(len(all)),
	}, nil
}
