package demo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	lockspire "github.com/lockspire/lockspire/runtime"

	_ "modernc.org/sqlite" // the demo registers its partner in the host's database
)

// scopes are what the partner asks for.
var scopes = []string{"openid", "profile", "offline_access", "notes:read"}

func (d *demo) build(ctx context.Context) error {
	for _, dir := range []string{d.hostDir, d.partnerDir} {
		if err := d.goCommand(ctx, dir, "build", "-o", binary(dir), "."); err != nil {
			return err
		}
	}
	return nil
}

// goCommand runs the go command in dir and returns its output as the error
// when it fails.
func (d *demo) goCommand(ctx context.Context, dir string, args ...string) error {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = d.environment()
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", args[0], d.shown(dir), err, output.Bytes())
	}
	return nil
}

func binary(dir string) string {
	name := filepath.Join(dir, filepath.Base(dir))
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return name
}

// start runs the host, registers the partner with it, and runs the partner.
// The programs are never nil.
func (d *demo) start(ctx context.Context) (host, partner *program, err error) {
	host, partner = &program{}, &program{}
	u, err := url.Parse(d.hostURL)
	if err != nil {
		return host, partner, err
	}
	database := filepath.Join(d.hostDir, "fieldnotes.db")
	host, err = startProgram(ctx, d.hostDir, d.hostURL+"/lockspire/.well-known/openid-configuration",
		"FIELDNOTES_ADDR="+u.Host, "FIELDNOTES_DATABASE="+database,
		"FIELDNOTES_USER="+username, "FIELDNOTES_PASSWORD="+password,
		"LOCKSPIRE_ISSUER="+d.hostURL+"/lockspire")
	if err != nil {
		return host, partner, err
	}
	client, secret, err := d.register(ctx, database)
	if err != nil {
		return host, partner, err
	}
	partner, err = startProgram(ctx, d.partnerDir, d.partnerURL+"/",
		"ALMANAC_ADDR="+d.partnerURL[len("http://"):],
		"ALMANAC_ISSUER="+d.hostURL+"/lockspire", "ALMANAC_API="+d.hostURL+"/api/notes",
		"ALMANAC_CLIENT_ID="+client.ID, "ALMANAC_CLIENT_SECRET="+secret,
		"ALMANAC_SCOPES="+strings.Join(scopes, " "))
	return host, partner, err
}

// register makes the partner a client of the host, as `lockspire client
// create` does.
func (d *demo) register(ctx context.Context, database string) (lockspire.Client, string, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(database)+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		return lockspire.Client{}, "", err
	}
	defer db.Close()
	return lockspire.NewClients(db, lockspire.SQLite, "").Create(ctx, lockspire.NewClient{
		Name:         "Almanac",
		RedirectURIs: []string{d.partnerURL + "/callback"},
		Scopes:       scopes,
	})
}

// program is a started child. The zero value never ran.
type program struct {
	name, log string
	done      chan struct{} // closed when it has ended; nil when it never ran
	err       error         // why it ended; read after done
}

// logFile is where the program built in dir writes what it has to say.
func logFile(dir string) string { return dir + ".log" }

// startProgram runs the program built in dir and waits until it answers at
// ready.
func startProgram(ctx context.Context, dir, ready string, env ...string) (*program, error) {
	p := &program{name: filepath.Base(dir), log: logFile(dir), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return &program{}, err
	}
	command := exec.CommandContext(ctx, binary(dir))
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = log, log
	command.WaitDelay = 5 * time.Second
	if runtime.GOOS != "windows" { // there is no Interrupt to send there
		command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	}
	if err := command.Start(); err != nil {
		log.Close()
		return &program{}, err
	}
	go func() {
		p.err = command.Wait()
		log.Close()
		close(p.done)
	}()
	return p, p.answers(ctx, ready)
}

// answers waits for a 200 at target.
func (p *program) answers(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s did not answer at %s within %s; its log is %s", p.name, target, startTimeout, p.log))
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return p.failure()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *program) wait() {
	if p.done != nil {
		<-p.done
	}
}

// failure says why the program ended, with the end of its log.
func (p *program) failure() error {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return fmt.Errorf("%s stopped: %w; the end of %s:\n%s", p.name, errors.Join(p.err, errStopped), p.log, bytes.Join(lines, []byte("\n")))
}

// errStopped is there because a program that ends by itself may end well.
var errStopped = errors.New("it should have kept running")

// freePort returns wanted where nothing listens on it, and otherwise another.
func freePort(host string, wanted int) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(wanted)))
	if err != nil {
		listener, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
