// Package child runs a server under load in a process of its own, so that the
// processor time and the memory that are measured are its own.
package child

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

// Process is a running server.
type Process struct {
	Server  ready.Server
	command *exec.Cmd
	stdin   io.Closer
}

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = 60 * time.Second

// Start runs a command and waits for the line that it prints when it is ready.
// It is ended by Stop, and by itself when this process ends.
func Start(dir string, argv ...string) (*Process, error) {
	command := exec.Command(argv[0], argv[1:]...)
	command.Dir, command.Stderr = dir, os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &Process{command: command, stdin: stdin}
	if err := p.await(stdout); err != nil {
		p.Stop()
		return nil, fmt.Errorf("starting %v: %w", argv, err)
	}
	return p, nil
}

func (p *Process) await(stdout io.Reader) error {
	announced := make(chan error, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &p.Server)
		}
		announced <- err
		io.Copy(io.Discard, lines)
	}()
	select {
	case err := <-announced:
		return err
	case <-time.After(startTimeout):
		return errors.New("it did not say that it is ready")
	}
}

// Stop ends the server.
func (p *Process) Stop() {
	p.stdin.Close()
	ended := make(chan struct{})
	go func() { p.command.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(2 * time.Second):
		p.command.Process.Kill()
		<-ended
	}
}

// PID is the server's process id.
func (p *Process) PID() int { return p.command.Process.Pid }
