// Command fosite is an authorization server made of ory/fosite with its memory
// store, for the load generator. Who is signed in is taken from a cookie, and
// consent is taken as given, so that a flow is authorize and token.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"flag"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"

	"github.com/lockspire/lockspire/bench/internal/ready"
)

const (
	redirectURI = "https://app.example/callback"
	secret      = "6S2LoKDLHRpScyMxqbqgIX2hvXO5hlvY9Dl2SVJBCfQ"
)

func main() {
	workload := flag.String("workload", "", "what will be asked")
	hasher := flag.String("hasher", "bcrypt", "of client secrets: bcrypt, which is fosite's default, or sha256")
	flag.Parse()
	if err := run(*workload, *hasher); err != nil {
		log.Fatal(err)
	}
}

func run(workload, hasher string) error {
	listener, err := ready.Listen()
	if err != nil {
		return err
	}
	s, err := newServer("http://"+listener.Addr().String(), workload, hasher)
	if err != nil {
		return err
	}
	offered, err := s.offer(workload)
	if err != nil {
		return err
	}
	return ready.Serve(listener, s.mux, map[string]ready.Workload{workload: offered})
}

type server struct {
	mux    *http.ServeMux
	oauth  fosite.OAuth2Provider
	issuer string
	alg    string
}

func newServer(issuer, workload, hasher string) (*server, error) {
	kind, format, _ := strings.Cut(workload, "/")
	key, err := newKey(format)
	if err != nil {
		return nil, err
	}
	config := &fosite.Config{GlobalSecret: make([]byte, 32), IDTokenIssuer: issuer, AccessTokenIssuer: issuer,
		AccessTokenLifespan: 10 * time.Minute, AuthorizeCodeLifespan: time.Minute, EnforcePKCE: true}
	rand.Read(config.GlobalSecret)
	if hasher == "sha256" {
		config.ClientSecretsHasher = sha256Hasher{}
	}
	hashed, err := config.GetSecretsHasher(context.Background()).Hash(context.Background(), []byte(secret))
	if err != nil {
		return nil, err
	}
	store := storage.NewMemoryStore()
	store.Clients["app"] = &fosite.DefaultClient{ID: "app", Secret: hashed, RedirectURIs: []string{redirectURI}, ResponseTypes: []string{"code"},
		GrantTypes: []string{"authorization_code", "client_credentials"}, Scopes: []string{"openid", "profile", "notes:read"}}
	s := &server{mux: http.NewServeMux(), issuer: issuer, alg: format}
	s.oauth = provider(config, store, key, kind == "client_credentials" && format != "opaque")
	s.mux.HandleFunc("GET /authorize", s.authorize)
	s.mux.HandleFunc("POST /token", s.token)
	s.mux.HandleFunc("POST /introspect", s.introspect)
	return s, nil
}

// newKey makes the one key that everything is signed with.
func newKey(alg string) (crypto.Signer, error) {
	if alg == "ES256" {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// provider has the code, client credentials and introspection handlers only.
// Access tokens are opaque unless they are to be JWTs.
func provider(config *fosite.Config, store *storage.MemoryStore, key crypto.Signer, jwtAccess bool) fosite.OAuth2Provider {
	getKey := func(context.Context) (any, error) { return key, nil }
	var core oauth2.CoreStrategy = compose.NewOAuth2HMACStrategy(config)
	if jwtAccess {
		core = compose.NewOAuth2JWTStrategy(getKey, core, config)
	}
	return compose.Compose(config, store,
		&compose.CommonStrategy{CoreStrategy: core, OpenIDConnectTokenStrategy: compose.NewOpenIDConnectStrategy(getKey, config),
			Signer: &jwt.DefaultSigner{GetPrivateKey: getKey}},
		compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2ClientCredentialsGrantFactory, compose.OpenIDConnectExplicitFactory,
		compose.OAuth2TokenIntrospectionFactory, compose.OAuth2PKCEFactory)
}

// sha256Hasher is enough for secrets of 256 random bits.
type sha256Hasher struct{}

func (sha256Hasher) Hash(_ context.Context, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return []byte(hex.EncodeToString(sum[:])), nil
}

func (h sha256Hasher) Compare(ctx context.Context, hash, data []byte) error {
	if sum, _ := h.Hash(ctx, data); subtle.ConstantTimeCompare(sum, hash) != 1 {
		return errors.New("another secret")
	}
	return nil
}

// session is what fosite keeps with a request, for both kinds of token.
type session struct {
	*openid.DefaultSession
	access *oauth2.JWTSession
}

func (s *session) GetJWTClaims() jwt.JWTClaimsContainer { return s.access.GetJWTClaims() }
func (s *session) GetJWTHeader() *jwt.Headers           { return s.access.GetJWTHeader() }
func (s *session) Clone() fosite.Session {
	return &session{s.DefaultSession.Clone().(*openid.DefaultSession), s.access.Clone().(*oauth2.JWTSession)}
}

func (s *server) newSession(subject string) *session {
	headers := &jwt.Headers{Extra: map[string]any{"kid": "1"}}
	if s.alg == "ES256" {
		headers.Extra["alg"] = "ES256"
	}
	now := time.Now()
	return &session{
		DefaultSession: &openid.DefaultSession{Subject: subject, Headers: headers,
			Claims: &jwt.IDTokenClaims{Issuer: s.issuer, Subject: subject, AuthTime: now, RequestedAt: now, IssuedAt: now}},
		access: &oauth2.JWTSession{JWTHeader: headers, JWTClaims: &jwt.JWTClaims{Issuer: s.issuer, Subject: subject}},
	}
}

func (s *server) authorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.oauth.NewAuthorizeRequest(ctx, r)
	if err != nil {
		s.oauth.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	cookie, err := r.Cookie("session")
	if err != nil {
		http.Error(w, "signed out", http.StatusUnauthorized)
		return
	}
	for _, scope := range request.GetRequestedScopes() {
		request.GrantScope(scope)
	}
	response, err := s.oauth.NewAuthorizeResponse(ctx, request, s.newSession(cookie.Value))
	if err != nil {
		s.oauth.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	s.oauth.WriteAuthorizeResponse(ctx, w, request, response)
}

func (s *server) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.oauth.NewAccessRequest(ctx, r, s.newSession(""))
	if err != nil {
		s.oauth.WriteAccessError(ctx, w, request, err)
		return
	}
	if request.GetGrantTypes().ExactOne("client_credentials") {
		for _, scope := range request.GetRequestedScopes() {
			request.GrantScope(scope)
		}
	}
	response, err := s.oauth.NewAccessResponse(ctx, request)
	if err != nil {
		s.oauth.WriteAccessError(ctx, w, request, err)
		return
	}
	s.oauth.WriteAccessResponse(ctx, w, request, response)
}

func (s *server) introspect(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	response, err := s.oauth.NewIntrospectionRequest(ctx, r, s.newSession(""))
	if err != nil {
		s.oauth.WriteIntrospectionError(ctx, w, err)
		return
	}
	s.oauth.WriteIntrospectionResponse(ctx, w, response)
}
