package lockspire

import "time"

// judge decides, once, whether the request demands a new login of the account
// that was signed in when it came in. max_age counts back from the request
// (OIDC Core §3.1.2.1); an unknown age cannot be young enough.
func (q *authRequest) judge(account *Account, now time.Time) {
	q.Judged = true
	known := account != nil && !account.AuthTime.IsZero()
	if known {
		q.SeenAuthTime = account.AuthTime.Unix()
	}
	q.NeedFresh = q.prompts("login")
	if q.MaxAge != nil && (*q.MaxAge == 0 || !known || now.Unix()-q.SeenAuthTime > *q.MaxAge) {
		q.NeedFresh = true
	}
}

// demandsLogin reports whether the account seen first has to pass the host's
// login page, however well signed in it is.
func (q *authRequest) demandsLogin(account *Account) bool {
	return q.prompts("select_account") || q.prompts("create") || !q.satisfied(account)
}

// satisfied reports whether account is the one that was hinted at and its
// login is as fresh as demanded. Coming back from the login page is no proof:
// the login must be later than the one seen before, and not older than the
// request. Clocks are whole seconds and may be a few apart.
func (q *authRequest) satisfied(account *Account) bool {
	if q.HintSubject != "" && q.HintSubject != account.Subject {
		return false
	}
	if !q.reaches(account) {
		return false
	}
	if !q.NeedFresh {
		return true
	}
	if account.AuthTime.IsZero() {
		return false
	}
	at := account.AuthTime.Unix()
	return at > q.SeenAuthTime && at >= q.RequestedAt-int64(clockSkew/time.Second)
}

// need is what the host's login page is told.
func (q *authRequest) need() Need {
	need := Need{
		Reauthenticate: q.NeedFresh,
		SelectAccount:  q.prompts("select_account"),
		Create:         q.prompts("create"),
		ACRValues:      q.ACRValues,
		LoginHint:      q.LoginHint,
		UILocales:      q.UILocales,
	}
	if q.MaxAge != nil {
		age := time.Duration(*q.MaxAge) * time.Second
		need.MaxAge = &age
	}
	return need
}
