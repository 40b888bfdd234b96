package signin

import (
	"bytes"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

const (
	cookieName  = "session"
	sessionLife = 12 * time.Hour
	// pendingLife is how long the second factor may take.
	pendingLife = 10 * time.Minute
)

// form is what both steps of sign-in show and carry. ReturnTo and
// InteractionID come from whoever sent the person here; every step hands them
// to the next.
type form struct {
	ReturnTo, InteractionID string
	Email, Problem          string
}

func carried(r *http.Request) form {
	return form{ReturnTo: r.FormValue("return_to"), InteractionID: r.FormValue("interaction_id"), Email: r.FormValue("email")}
}

// Routes registers the pages of sign-in.
func (s *Store) Routes(mux *http.ServeMux) {
	sameSite := http.NewCrossOriginProtection()
	post := func(handle http.HandlerFunc) http.Handler { return sameSite.Handler(handle) }
	mux.HandleFunc("GET /sign-in", s.passwordForm)
	mux.Handle("POST /sign-in", post(s.password))
	mux.HandleFunc("GET /sign-in/code", s.codeForm)
	mux.Handle("POST /sign-in/code", post(s.code))
	mux.Handle("POST /sign-out", post(s.signOut))
}

func (s *Store) passwordForm(w http.ResponseWriter, r *http.Request) {
	Render(w, http.StatusOK, pages, "password.html", carried(r))
}

// password is the first step: it opens a session that is good for nothing but
// the second one.
func (s *Store) password(w http.ResponseWriter, r *http.Request) {
	f := carried(r)
	userID, err := s.checkPassword(r.Context(), f.Email, r.PostFormValue("password"))
	if errors.Is(err, errRefused) {
		f.Problem = "That address and password do not match."
		Render(w, http.StatusUnauthorized, pages, "password.html", f)
		return
	}
	if err == nil {
		err = s.open(w, r, userID, false)
	}
	if err != nil {
		serverError(w, err)
		return
	}
	next := url.Values{"return_to": {f.ReturnTo}, "interaction_id": {f.InteractionID}}
	http.Redirect(w, r, "/sign-in/code?"+next.Encode(), http.StatusSeeOther)
}

func (s *Store) codeForm(w http.ResponseWriter, r *http.Request) {
	Render(w, http.StatusOK, pages, "code.html", carried(r))
}

// code is the second step: it trades the session of the first for a full one
// and sends the person back to where they came from.
func (s *Store) code(w http.ResponseWriter, r *http.Request) {
	f := carried(r)
	userID, err := s.pendingUser(r)
	if err == nil {
		err = s.checkCode(r.Context(), userID, strings.TrimSpace(r.PostFormValue("code")), time.Now())
	}
	if errors.Is(err, errRefused) {
		f.Problem = "That code is not right, or has been used. Wait for the next one."
		Render(w, http.StatusUnauthorized, pages, "code.html", f)
		return
	}
	if err == nil {
		err = s.open(w, r, userID, true)
	}
	if err != nil {
		serverError(w, err)
		return
	}
	http.Redirect(w, r, localPath(f.ReturnTo), http.StatusSeeOther)
}

func (s *Store) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.close(r); err != nil {
		serverError(w, err)
		return
	}
	http.SetCookie(w, cookie(r, "", -1))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// pendingUser is who gave the password in this browser, or errRefused.
func (s *Store) pendingUser(r *http.Request) (string, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return "", errRefused
	}
	var userID string
	err = s.db.QueryRowContext(r.Context(),
		`SELECT user_id FROM sessions WHERE id_hash = ? AND expires_at > ?`, hashed(cookie.Value), time.Now().Unix()).Scan(&userID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", errRefused
	}
	return userID, err
}

// open replaces the browser's session by a new one under a new id, so that an
// id known before sign-in is worth nothing after it.
func (s *Store) open(w http.ResponseWriter, r *http.Request, userID string, full bool) error {
	if err := s.close(r); err != nil {
		return err
	}
	secret, now, life := hex.EncodeToString(random(32)), time.Now(), pendingLife
	var second any
	if full {
		second, life = now.Unix(), sessionLife
	}
	_, err := s.db.ExecContext(r.Context(),
		`INSERT INTO sessions (id_hash, user_id, second_factor_at, expires_at) VALUES (?, ?, ?, ?)`,
		hashed(secret), userID, second, now.Add(life).Unix())
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, secret, int(life.Seconds())))
	return nil
}

func (s *Store) close(r *http.Request) error {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	_, err = s.db.ExecContext(r.Context(), `DELETE FROM sessions WHERE id_hash = ?`, hashed(cookie.Value))
	return err
}

func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode}
}

// localPath returns target when it is a path on this site, and "/" otherwise.
func localPath(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(target, "/") ||
		strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\\\r\n\t") {
		return "/"
	}
	return target
}

// Render writes a page of the application.
func Render(w http.ResponseWriter, status int, set *template.Template, name string, data any) {
	var page bytes.Buffer
	if err := set.ExecuteTemplate(&page, name, data); err != nil {
		serverError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	page.WriteTo(w)
}

func serverError(w http.ResponseWriter, err error) {
	log.Print(err)
	http.Error(w, "Something went wrong on our side. Try again in a moment.", http.StatusInternalServerError)
}
