package lockspire

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// postedParam names the stored request in the GET that follows a POST to
// /authorize.
const postedParam = "posted"

// postedLife is how long the browser may take from one to the other.
const postedLife = time.Minute

// postedBy is the browser_hash of a row that belongs to no browser yet. No
// cookie has this hash, since none is empty.
var postedBy = hashToken("")

// storePosted keeps a validated request that came by POST and has the browser
// ask again with GET. A POST from another site carries neither the host's
// session cookie nor ours, so nothing is concluded from their absence, and no
// cookie is set over the one that the browser has.
func (p *Provider) storePosted(w http.ResponseWriter, r *http.Request, client Client, request *authRequest) error {
	if err := p.limitInteractions(r, client.ID); err != nil {
		return err
	}
	encoded, err := json.Marshal(request)
	if err != nil {
		return err
	}
	id, ctx := newToken(), r.Context()
	err = p.store.write(ctx, func(t tx) error {
		_, err := t.exec(ctx, `INSERT INTO @.lockspire_interactions
			(id_hash, client_id, browser_hash, request, state, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			hashToken(id), client.ID, postedBy, string(encoded), interactionPending,
			micros(p.now()), micros(p.now().Add(postedLife)))
		return err
	})
	if err != nil {
		return err
	}
	seeOther(w, p.issuerPath+"/authorize?"+url.Values{postedParam: {id}}.Encode())
	return nil
}

// takePosted returns a stored request and removes its row: whoever comes first
// has it. That may be another browser than the one that posted; it learns and
// gets what any browser gets that asks with the same parameters.
func (p *Provider) takePosted(ctx context.Context, id string) (Client, *authRequest, error) {
	if !tokenShaped(id) {
		return Client{}, nil, errNoInteraction
	}
	var clientID, stored string
	err := p.store.write(ctx, func(t tx) error {
		return t.queryRow(ctx, `DELETE FROM @.lockspire_interactions
			WHERE id_hash = $1 AND browser_hash = $2 AND expires_at > $3
			RETURNING client_id, request`, hashToken(id), postedBy, micros(p.now())).Scan(&clientID, &stored)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Client{}, nil, errNoInteraction
	}
	if err != nil {
		return Client{}, nil, err
	}
	request, err := parseAuthRequest(stored)
	if err != nil {
		return Client{}, nil, err
	}
	client, err := p.liveClient(ctx, clientID)
	return client, request, err
}
