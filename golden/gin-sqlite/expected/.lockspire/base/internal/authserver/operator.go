package authserver

import "net/http"

// RequireOperator admits the people who may see Lockspire's operator pages, and nobody else.
// Who that is, only you know. It denies everyone until you write the check, for example:
//
//	user, ok := sessions.UserFrom(r.Context())
//	if ok && user.IsAdmin {
//		next.ServeHTTP(w, r)
//		return
//	}
//
// Deny by default: a request that is not proven to be an operator's gets 403, also when your
// session store is down.
func RequireOperator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
	})
}
