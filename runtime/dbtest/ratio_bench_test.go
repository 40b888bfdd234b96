package dbtest

import (
	"bufio"
	"bytes"
	"database/sql"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// These benchmarks print ratios: what two handlers take is measured in turns,
// in slices, and the medians are compared. A machine that is busy with other
// things is then as slow for the one as for the other.

const (
	benchSlices  = 8
	benchClients = 16
)

// benchDB is a migrated database on which every commit waits for the disk.
func benchDB(b *testing.B, engine lockspire.Dialect) *sql.DB {
	b.Helper()
	dsn := newDSN(b, engine)
	if engine == lockspire.PostgreSQL {
		// The pool of databases turns it off.
		dsn += "&synchronous_commit=on"
	}
	db := openDSN(b, engine, dsn)
	if err := lockspire.Migrate(b.Context(), db, engine, ""); err != nil {
		b.Fatal(err)
	}
	if engine == lockspire.PostgreSQL {
		for _, setting := range []string{"fsync", "synchronous_commit"} {
			var value string
			if err := db.QueryRowContext(b.Context(), "SHOW "+setting).Scan(&value); err != nil || value != "on" {
				b.Fatalf("%s is %q: %v", setting, value, err)
			}
		}
	}
	db.SetMaxOpenConns(benchClients)
	db.SetMaxIdleConns(benchClients)
	return db
}

// benchHost is a host on db at the real time, that logs to nowhere.
func benchHost(b *testing.B, db *sql.DB, engine lockspire.Dialect) *host {
	b.Helper()
	return newHost(b, db, engine, func(c *lockspire.Config) {
		c.Now, c.Events = nil, nil
		c.Logger = slog.New(slog.DiscardHandler)
	})
}

// onBenchEngines runs fn with a host on each engine.
func onBenchEngines(b *testing.B, fn func(b *testing.B, h *host)) {
	b.Helper()
	for _, engine := range engines {
		b.Run(string(engine), func(b *testing.B) { fn(b, benchHost(b, benchDB(b, engine), engine)) })
	}
}

// compare runs ours and control in turns and returns the medians of the time
// that one operation takes. Each is called with how often to do it.
func compare(b *testing.B, ours, control func(n int)) (mine, other time.Duration) {
	b.Helper()
	slicesOf := min(b.N, benchSlices)
	n := b.N / slicesOf
	var took [2][]time.Duration
	b.ResetTimer()
	for range slicesOf {
		for i, run := range []func(int){ours, control} {
			start := time.Now()
			run(n)
			took[i] = append(took[i], time.Since(start)/time.Duration(n))
		}
	}
	b.StopTimer()
	return median(took[0]), median(took[1])
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// report prints both medians, and how many times the control's ours is: of the
// time, or of operations per second.
func report(b *testing.B, ours, control time.Duration, throughput bool) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Nanoseconds()), "ours-ns/op")
	b.ReportMetric(float64(control.Nanoseconds()), "control-ns/op")
	if throughput {
		b.ReportMetric(float64(control)/float64(ours), "x-throughput")
		return
	}
	b.ReportMetric(float64(ours)/float64(control), "x-time")
}

// handled returns a func that gives handler the request n times, in this
// goroutine and without a connection.
func handled(b *testing.B, handler http.Handler, request *http.Request, want string) func(n int) {
	b.Helper()
	return func(n int) {
		for range n {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, request)
			if !strings.Contains(w.Body.String(), want) {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	}
}

// served returns a func that has handler answer the request n times over
// connections that stay open, so many at once. The client does as little as
// it can: what is measured is the server.
func served(b *testing.B, handler http.Handler, path string, form url.Values, authorization, want string) func(n int) {
	b.Helper()
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	body := form.Encode()
	request, err := http.NewRequest("POST", server.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", authorization)
	var wire bytes.Buffer
	if err := request.Write(&wire); err != nil {
		b.Fatal(err)
	}
	var connections []*bufio.ReadWriter
	for range benchClients {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		connections = append(connections, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)))
	}
	ask := func(conn *bufio.ReadWriter) error {
		conn.Write(wire.Bytes())
		if err := conn.Flush(); err != nil {
			return err
		}
		response, err := http.ReadResponse(conn.Reader, nil)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil || !bytes.Contains(answer, []byte(want)) {
			b.Errorf("%d %s %v", response.StatusCode, answer, err)
		}
		return nil
	}
	return func(n int) {
		left := make(chan struct{}, n)
		for range n {
			left <- struct{}{}
		}
		close(left)
		var wait sync.WaitGroup
		for _, conn := range connections {
			wait.Go(func() {
				for range left {
					if err := ask(conn); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
	}
}
