package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// app is the partner: one client of one issuer.
type app struct {
	issuer, api string
	config      oauth2.Config
	provider    *oidc.Provider
	verifier    *oidc.IDTokenVerifier

	mu     sync.Mutex
	visits map[string]*visit
}

// visit is one browser's stay here. It is kept in memory: this is a demo.
type visit struct {
	mu                     sync.Mutex
	state, nonce, verifier string
	token                  *oauth2.Token
	Name, Subject, Problem string
	Notes                  []note
	Calls                  []call
}

type note struct {
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

func (a *app) routes() http.Handler {
	// Posts from other sites are refused.
	sameSite := http.NewCrossOriginProtection()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /start", a.start)
	mux.HandleFunc("GET /callback", a.callback)
	mux.Handle("POST /notes", sameSite.Handler(http.HandlerFunc(a.notes)))
	mux.Handle("POST /refresh", sameSite.Handler(http.HandlerFunc(a.refresh)))
	mux.Handle("POST /forget", sameSite.Handler(http.HandlerFunc(a.forget)))
	mux.HandleFunc("GET /calls", a.calls)
	mux.HandleFunc("GET /style.css", style)
	return mux
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	v := a.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	render(w, v)
}

// start sends the browser to the issuer with a fresh state, nonce and PKCE
// challenge.
func (a *app) start(w http.ResponseWriter, r *http.Request) {
	v := a.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state, v.nonce, v.verifier = rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	http.Redirect(w, r, a.config.AuthCodeURL(v.state,
		oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier)), http.StatusSeeOther)
}

// callback takes the answer of the issuer: it redeems the code, verifies the
// ID token and asks who the person is.
func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	v := a.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Problem = ""
	if err := a.signIn(r, v); err != nil {
		v.Problem = err.Error()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *app) signIn(r *http.Request, v *visit) error {
	query := r.URL.Query()
	state := v.state
	v.state = ""
	if state == "" || query.Get("state") != state {
		return fmt.Errorf("this answer does not belong to a sign-in that began here")
	}
	if query.Get("iss") != a.issuer {
		return fmt.Errorf("the answer is not from %s", a.issuer) // RFC 9207 §2.4
	}
	if code := query.Get("error"); code != "" {
		return fmt.Errorf("fieldnotes said no: %s", code)
	}
	ctx := a.context(r, v)
	token, err := a.config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(v.verifier))
	if err != nil {
		return fmt.Errorf("the code was not accepted: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := a.verifier.Verify(ctx, raw)
	if err != nil {
		return fmt.Errorf("the ID token is not right: %w", err)
	}
	if idToken.Nonce != v.nonce {
		return fmt.Errorf("the ID token answers another sign-in")
	}
	info, err := a.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("userinfo: %w", err)
	}
	var claims struct {
		Name string `json:"name"`
	}
	if err := info.Claims(&claims); err != nil {
		return err
	}
	if info.Subject != idToken.Subject {
		return fmt.Errorf("userinfo and the ID token name different people")
	}
	v.token, v.Subject, v.Name, v.Notes = token, idToken.Subject, claims.Name, nil
	return nil
}

// notes calls the API with the access token as it is.
func (a *app) notes(w http.ResponseWriter, r *http.Request) {
	a.signedIn(w, r, func(v *visit) error {
		v.Notes = nil
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, a.api, nil)
		if err != nil {
			return err
		}
		v.token.SetAuthHeader(request)
		response, err := client(v).Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the API answered %s", response.Status)
		}
		return json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&v.Notes)
	})
}

// refresh trades the refresh token for new tokens, expired or not.
func (a *app) refresh(w http.ResponseWriter, r *http.Request) {
	a.signedIn(w, r, func(v *visit) error {
		token, err := a.config.TokenSource(a.context(r, v), &oauth2.Token{RefreshToken: v.token.RefreshToken}).Token()
		if err != nil {
			return fmt.Errorf("the refresh token was not accepted: %w", err)
		}
		v.token = token
		return nil
	})
}

func (a *app) signedIn(w http.ResponseWriter, r *http.Request, do func(*visit) error) {
	v := a.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.token != nil {
		v.Problem = ""
		if err := do(v); err != nil {
			v.Problem = err.Error()
		}
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// forget drops what this browser brought, here alone.
func (a *app) forget(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		a.mu.Lock()
		delete(a.visits, cookie.Value)
		a.mu.Unlock()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// calls lists what this app asked of the issuer for this browser, oldest
// first.
func (a *app) calls(w http.ResponseWriter, r *http.Request) {
	v := a.visit(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(struct {
		Problem string `json:"problem"`
		Calls   []call `json:"calls"`
	}{v.Problem, v.Calls})
}

const cookieName = "almanac_visit"

func (a *app) visit(w http.ResponseWriter, r *http.Request) *visit {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cookie, err := r.Cookie(cookieName); err == nil {
		if v, ok := a.visits[cookie.Value]; ok {
			return v
		}
	}
	id, v := rand.Text(), &visit{}
	a.visits[id] = v
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return v
}

func (a *app) context(r *http.Request, v *visit) context.Context {
	return oidc.ClientContext(r.Context(), client(v))
}
