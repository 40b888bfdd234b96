// Package ready is how a server under load tells the generator what to ask it:
// one line of JSON on standard output, once it accepts connections. The server
// that is not written in Go prints the same line.
package ready

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Server is that line.
type Server struct {
	// Addr is where it listens, a loopback address with its port.
	Addr string `json:"addr"`
	// Workloads by name. A server offers those that it is asked for.
	Workloads map[string]Workload `json:"workloads"`
}

// Workload is one operation, repeated: either one of Requests after the other,
// or the authorization code flow.
type Workload struct {
	Requests []Request `json:"requests,omitempty"`
	// Want has to be in the body of the last answer, or the operation failed.
	Want string    `json:"want"`
	Code *CodeFlow `json:"code,omitempty"`
}

// Request is one HTTP request, whose answer has to be 200.
type Request struct {
	Method string            `json:"method"`
	Path   string            `json:"path"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
}

// CodeFlow is the authorization code flow of a person who is known already.
type CodeFlow struct {
	// Authorize is the path with its query, but for the state.
	Authorize string `json:"authorize"`
	// Cookies are one browser's each; a worker uses one of them.
	Cookies []string `json:"cookies,omitempty"`
	// LoginPath is where a POST of Login with the query's LoginID in it signs
	// in. Empty where the cookie is enough.
	LoginPath string `json:"loginPath,omitempty"`
	LoginID   string `json:"loginID,omitempty"`
	Login     string `json:"login,omitempty"`
	// RedirectURI is where the code is sent.
	RedirectURI string `json:"redirectURI"`
	// Token is the request that redeems the code, which is added to its body.
	Token Request `json:"token"`
}

// Verifier and Challenge are the PKCE pair of every flow (RFC 7636, appendix B).
const (
	Verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	Challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// Listen takes a free loopback port, before the server is built: its issuer has
// the port in it.
func Listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// Serve prints the line and serves until the process is ended. It ends by
// itself with its parent, when standard input closes.
func Serve(listener net.Listener, handler http.Handler, workloads map[string]Workload) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		os.Stdin.Read(make([]byte, 1))
		server.Close()
	}()
	line, err := json.Marshal(Server{Addr: listener.Addr().String(), Workloads: workloads})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}
