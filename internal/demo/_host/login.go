package main

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"example.com/fieldnotes/internal/accounts"
)

// loginPage is what the sign-in form shows and carries.
type loginPage struct {
	// ReturnTo and InteractionID arrive in the query and go back with the
	// form: somebody else sent the person here and waits for them.
	ReturnTo, InteractionID string
	Username                string
	Failed                  bool
}

func (a *app) loginForm(w http.ResponseWriter, r *http.Request) {
	render(w, http.StatusOK, "login.html", loginPage{
		ReturnTo:      r.FormValue("return_to"),
		InteractionID: r.FormValue("interaction_id"),
	})
}

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	user, err := a.accounts.Authenticate(r.Context(), r.PostFormValue("username"), r.PostFormValue("password"))
	if errors.Is(err, accounts.ErrWrongPassword) {
		render(w, http.StatusUnauthorized, "login.html", loginPage{
			ReturnTo:      r.PostFormValue("return_to"),
			InteractionID: r.PostFormValue("interaction_id"),
			Username:      r.PostFormValue("username"),
			Failed:        true,
		})
		return
	}
	if err != nil {
		serverError(w, err)
		return
	}
	if err := a.accounts.SignIn(w, r, user); err != nil {
		serverError(w, err)
		return
	}
	http.Redirect(w, r, localPath(r.PostFormValue("return_to")), http.StatusSeeOther)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.accounts.SignOut(w, r); err != nil {
		serverError(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// localPath returns target when it is a path on this site, and "/" otherwise:
// a sign-in page must not send people to whatever a link says.
func localPath(target string) string {
	u, err := url.Parse(target)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(target, "/") ||
		strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\\\r\n\t") {
		return "/"
	}
	return target
}
