package lockspire

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"

	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

// Bounds on the claims parameter; an honest one nests four deep.
const (
	maxClaimsBytes = 8 << 10
	maxClaimsDepth = 5
)

var errBadClaims = badRequest("The claims parameter is malformed.")

// namedClaims are the claims that a request names one by one, beside those
// that its scopes stand for (OIDC Core §5.5).
type namedClaims struct {
	Userinfo []string `json:"userinfo,omitempty"`
	IDToken  []string `json:"id_token,omitempty"`
}

// names are all of them: what the user is asked to allow.
func (c namedClaims) names() []string { return union(c.Userinfo, c.IDToken) }

// claimDemand is how a request names one claim (OIDC Core §5.5.1). Essential
// is only a wish, except for acr.
type claimDemand struct {
	essential bool
	values    []string
}

// readClaims reads the claims parameter into q. Claims that the host does not
// declare are left out, essential or not: a missing claim is no error (OIDC
// Core §5.5.1). acr and sub are ours.
func (p *Provider) readClaims(q *authRequest, parameter string) error {
	if parameter == "" {
		return nil
	}
	if len(parameter) > maxClaimsBytes || nestedDeeper(parameter, maxClaimsDepth) {
		return errBadClaims
	}
	members, err := jwt.Object([]byte(parameter))
	if err != nil {
		return errBadClaims
	}
	userinfo, err := claimDemands(members["userinfo"])
	if err != nil {
		return err
	}
	idToken, err := claimDemands(members["id_token"])
	if err != nil {
		return err
	}
	for _, name := range p.config.Claims {
		if _, asked := userinfo[name]; asked {
			q.Claims.Userinfo = append(q.Claims.Userinfo, name)
		}
		if _, asked := idToken[name]; asked {
			q.Claims.IDToken = append(q.Claims.IDToken, name)
		}
	}
	if acr, asked := idToken["acr"]; asked {
		q.demandACR(acr)
	}
	for _, sub := range []claimDemand{idToken["sub"], userinfo["sub"]} {
		// Only that user will do (OIDC Core §5.5.1), as with id_token_hint.
		for _, value := range sub.values {
			if q.HintSubject != "" && q.HintSubject != value {
				return badRequest("The request names more than one user.")
			}
			q.HintSubject = value
		}
	}
	return nil
}

// demandACR adds to acr_values what may be missed, and remembers what may not
// (OIDC Core §5.5.1.1).
func (q *authRequest) demandACR(acr claimDemand) {
	q.ACRValues = union(acr.values, q.ACRValues)
	if acr.essential {
		q.EssentialACR, q.ACRDemanded = acr.values, true
	}
}

// reaches reports whether account was signed in as strongly as the request
// insists on.
func (q *authRequest) reaches(account *Account) bool {
	if !q.ACRDemanded {
		return true
	}
	if len(q.EssentialACR) == 0 {
		return account.ACR != ""
	}
	return slices.Contains(q.EssentialACR, account.ACR)
}

// claimDemands reads one member of the claims parameter. It may be absent or
// null; each claim in it is null or an object.
func claimDemands(raw json.RawMessage) (map[string]claimDemand, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	members, err := jwt.Object(raw)
	if err != nil {
		return nil, errBadClaims
	}
	demands := map[string]claimDemand{}
	for name, raw := range members {
		if demands[name], err = readDemand(raw); err != nil {
			return nil, err
		}
	}
	return demands, nil
}

func readDemand(raw json.RawMessage) (claimDemand, error) {
	var demand claimDemand
	if string(raw) == "null" {
		return demand, nil
	}
	members, err := jwt.Object(raw)
	if err != nil {
		return demand, errBadClaims
	}
	if essential, given := members["essential"]; given && json.Unmarshal(essential, &demand.essential) != nil {
		return demand, errBadClaims
	}
	values := []json.RawMessage{}
	if many, given := members["values"]; given && json.Unmarshal(many, &values) != nil {
		return demand, errBadClaims
	}
	if one, given := members["value"]; given {
		values = append(values, one)
	}
	for _, raw := range values {
		// Values of other types are for claims that the host alone knows.
		var value string
		if jwt.String(raw, &value) && value != "" && clean(value) {
			demand.values = append(demand.values, value)
		}
	}
	return demand, nil
}

// nestedDeeper reports whether text holds more than limit levels of objects
// and arrays, or is no JSON.
func nestedDeeper(text string, limit int) bool {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	depth := 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return false
		}
		if err != nil {
			return true
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > limit {
			return true
		}
	}
}

// encodeNamed is how named claims are stored: NULL when there are none.
func encodeNamed(c namedClaims) (string, error) {
	if len(c.Userinfo) == 0 && len(c.IDToken) == 0 {
		return "", nil
	}
	encoded, err := json.Marshal(c)
	return string(encoded), err
}

func decodeNamed(stored string) (namedClaims, error) {
	var c namedClaims
	if stored == "" {
		return c, nil
	}
	return c, json.Unmarshal([]byte(stored), &c)
}
