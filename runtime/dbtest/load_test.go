package dbtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// formEndpoints take a form from anybody.
var formEndpoints = []string{"/token", "/revoke", "/introspect", "/authorize", "/apps", "/interactions/" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}

func TestA189OddBodiesAreRefusedUnread(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		var bomb bytes.Buffer
		zipped := gzip.NewWriter(&bomb)
		if _, err := zipped.Write(bytes.Repeat([]byte("a=b&"), 1<<20)); err != nil {
			t.Fatal(err)
		}
		zipped.Close()
		const form = "application/x-www-form-urlencoded"
		multipart := "--x\r\nContent-Disposition: form-data; name=\"token\"; filename=\"a\"\r\n\r\n" + strings.Repeat("a", 1<<20) + "\r\n--x--\r\n"
		for name, c := range map[string]struct {
			contentType, encoding string
			body                  io.Reader
			status                int
		}{
			"a decompression bomb": {form, "gzip", &bomb, 415},
			"multipart":            {"multipart/form-data; boundary=x", "", strings.NewReader(multipart), 413},
			"small multipart":      {"multipart/form-data; boundary=x", "", strings.NewReader("--x--\r\n"), 400},
			"too long, announced":  {form, "", strings.NewReader(strings.Repeat("a", 65<<10)), 413},
			// A reader whose length net/http does not know is sent in chunks.
			"too long, in chunks": {form, "", io.MultiReader(strings.NewReader(strings.Repeat("a", 65<<10))), 413},
		} {
			content, err := io.ReadAll(c.body)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range formEndpoints {
				body := io.Reader(bytes.NewReader(content))
				if strings.Contains(name, "chunks") {
					body = io.MultiReader(body)
				}
				headers := []string{"Content-Type", c.contentType}
				if c.encoding != "" {
					headers = append(headers, "Content-Encoding", c.encoding)
				}
				w := send(h.provider, "POST", h.issuer+path, body, headers...)
				if w.Code != c.status {
					t.Errorf("%s at %s: %d %s, want %d", name, path, w.Code, w.Body, c.status)
				}
			}
		}
		if n := h.interactions() + h.issued(); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
}

// Whatever fits into the limits is refused in a time that does not depend on how
// it was chosen, and before any client has said who it is.
func TestA189WorkBeforeAuthenticationIsBounded(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		many := &strings.Builder{}
		for i := range 8000 {
			fmt.Fprintf(many, "%x=&", i)
		}
		bodies := map[string]string{
			"many names":      many.String(),
			"one name":        strings.Repeat("a=&", 20000),
			"escapes":         "client_id=" + strings.Repeat("%41", 20000),
			"brackets":        strings.Repeat("a[b][c]=d&", 6000),
			"long scope":      "grant_type=refresh_token&scope=" + strings.Repeat("a+", 30000),
			"long secret":     "client_id=" + partner.ID + "&client_secret=" + strings.Repeat("a", 60000),
			"dots":            "grant_type=refresh_token&refresh_token=" + strings.Repeat(".", 60000),
			"deep claims":     "claims=" + strings.Repeat("[", 30000),
			"backtracking":    "redirect_uri=" + url.QueryEscape("https://"+strings.Repeat("a-", 15000)+"!"),
			"long basic name": "x=y",
		}
		for name, body := range bodies {
			for _, path := range formEndpoints {
				headers := []string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}
				if name == "long basic name" {
					headers = append(headers, "Authorization", "Basic "+strings.Repeat("QUFB", 20000))
				}
				start := time.Now()
				w := send(h.provider, "POST", h.issuer+path, strings.NewReader(body), headers...)
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("%s at %s took %v", name, path, took)
				}
				if w.Code < 400 && path != "/apps" || w.Code >= 500 || w.Body.Len() > 8<<10 {
					t.Errorf("%s at %s: %d with %d bytes", name, path, w.Code, w.Body.Len())
				}
			}
		}
		for name, query := range map[string]string{
			"many names": many.String()[:15<<10], "deep claims": "claims=" + strings.Repeat("[", 15<<10), "long scope": "scope=" + strings.Repeat("a+", 7<<10),
			"too long": strings.Repeat("a", 17<<10),
		} {
			start := time.Now()
			w := send(h.provider, "GET", h.issuer+"/authorize?"+query, nil)
			if took := time.Since(start); took > 2*time.Second || w.Code != 400 && w.Code != http.StatusRequestURITooLong {
				t.Errorf("%s: %d after %v", name, w.Code, took)
			}
		}
		if n := h.interactions() + h.issued(); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
}

// Who sends a form slowly loses the connection, and nobody else waits.
func TestA189ASlowBodyIsCutOff(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		pool := h.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		address := h.server.Listener.Addr().String()
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "example.com"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /lockspire/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ngrant", address)
		start := time.Now()
		if err := conn.SetReadDeadline(start.Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// Others are served meanwhile, on a pool of one connection.
		h.db.SetMaxOpenConns(1)
		if got := h.newApp(machine).ownToken(); got.status != http.StatusOK {
			t.Errorf("another request: %s", got.raw)
		}
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		body, _ := io.ReadAll(response.Body)
		if took := time.Since(start); response.StatusCode != http.StatusRequestTimeout || took > 15*time.Second || !strings.Contains(string(body), "invalid_request") {
			t.Errorf("after %v: %d %s", took, response.StatusCode, body)
		}
		if _, err := reader.ReadByte(); err != io.EOF {
			t.Errorf("the connection goes on: %v", err)
		}
		// A connection whose form came in time is not cut off by that deadline.
		fast := h.server.Client()
		for range 2 {
			response, err := fast.PostForm(h.issuer+"/token", url.Values{"grant_type": {"x"}})
			if err != nil || response.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%v %v", response, err)
			}
			response.Body.Close()
		}
	})
}
