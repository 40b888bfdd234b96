package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// conn is a keep-alive HTTP/1.1 connection of one worker. It reads what servers
// answer with on loopback and no more: net/http's client would take as much of
// the machine's two cores as the server that is measured.
type conn struct {
	addr string
	c    net.Conn
	in   *bufio.Reader
	out  []byte
}

// answer is a response. Its body is good until the next one.
type answer struct {
	status   int
	location string
	cookies  []string
	body     []byte
}

// patience bounds one request.
const patience = 20 * time.Second

func (c *conn) do(method, path, header, cookie, body string, a *answer) error {
	if c.c == nil {
		dialed, err := net.Dial("tcp", c.addr)
		if err != nil {
			return err
		}
		c.c, c.in = dialed, bufio.NewReaderSize(dialed, 16<<10)
	}
	out := append(c.out[:0], method...)
	out = append(append(out, ' '), path...)
	out = append(append(append(out, " HTTP/1.1\r\nHost: "...), c.addr...), "\r\n"...)
	out = append(out, header...)
	if cookie != "" {
		out = append(append(append(out, "Cookie: "...), cookie...), "\r\n"...)
	}
	if method == "POST" {
		out = append(strconv.AppendInt(append(out, "Content-Length: "...), int64(len(body)), 10), "\r\n"...)
	}
	out = append(append(out, "\r\n"...), body...)
	c.out = out
	c.c.SetDeadline(time.Now().Add(patience))
	if _, err := c.c.Write(out); err != nil {
		c.close()
		return err
	}
	if err := c.read(a); err != nil {
		c.close()
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

// read reads one response (RFC 9112).
func (c *conn) read(a *answer) error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("not an HTTP/1.1 status line: %.40q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return err
	}
	a.location, a.cookies, a.body = "", a.cookies[:0], a.body[:0]
	length, chunked, last := -1, false, false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			length, err = strconv.Atoi(string(value))
		case is(name, "transfer-encoding"):
			chunked = is(value, "chunked")
		case is(name, "location"):
			a.location = string(value)
		case is(name, "set-cookie"):
			pair, _, _ := strings.Cut(string(value), ";")
			a.cookies = append(a.cookies, pair)
		case is(name, "connection"):
			last = is(value, "close")
		}
		if err != nil {
			return err
		}
	}
	switch {
	case chunked:
		err = c.readChunks(a)
	case length >= 0:
		err = c.readBody(a, length)
	case a.status != 204 && a.status != 304:
		err = errors.New("an answer of unknown length")
	}
	if last {
		c.close()
	}
	return err
}

func (c *conn) readBody(a *answer, n int) error {
	have := len(a.body)
	a.body = append(a.body, make([]byte, n)...)
	_, err := io.ReadFull(c.in, a.body[have:])
	return err
}

func (c *conn) readChunks(a *answer) error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil {
			return err
		}
		if err := c.readBody(a, int(n)); err != nil {
			return err
		}
		if _, err := c.in.ReadSlice('\n'); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

func is(a []byte, lower string) bool {
	return len(a) == len(lower) && strings.EqualFold(string(a), lower)
}
