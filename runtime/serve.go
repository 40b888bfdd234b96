package lockspire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// endpoint is one route of the provider.
type endpoint struct {
	// name stands for the path in logs.
	name    string
	methods []string
	handle  http.HandlerFunc
	// page endpoints answer people: errors are pages, other origins get
	// nothing. The others answer programs: errors are JSON, and scripts of any
	// origin may call them, without credentials.
	page bool
	// form says that a POST body is a form, parsed before handle is called.
	form bool
	// serversOnly: no script of a browser has any business here, so other
	// origins get no leave to call it (CORS).
	serversOnly bool
}

// interactionsPrefix ends in the interaction id; it is the one route that is
// not a fixed path.
const interactionsPrefix = "/interactions/"

// newEndpoints maps URL paths to endpoints. The root well-known paths follow
// the issuer, the rest lies under the mount path.
func (p *Provider) newEndpoints() map[string]endpoint {
	get := []string{http.MethodGet, http.MethodHead}
	mount, issuerPath := p.config.MountPath, p.issuerPath
	metadata := endpoint{name: "metadata", methods: get, handle: p.serveMetadata}

	endpoints := map[string]endpoint{
		mount + "/authorize":  {name: "authorize", methods: []string{http.MethodGet, http.MethodPost}, handle: p.serveAuthorize, page: true, form: true},
		mount + "/apps":       {name: "apps", methods: []string{http.MethodGet, http.MethodPost}, handle: p.serveApps, page: true, form: true},
		mount + "/token":      {name: "token", methods: []string{http.MethodPost}, handle: p.serveToken, form: true},
		mount + "/revoke":     {name: "revoke", methods: []string{http.MethodPost}, handle: p.serveRevoke, form: true},
		mount + "/introspect": {name: "introspect", methods: []string{http.MethodPost}, handle: p.serveIntrospect, form: true, serversOnly: true},
		mount + "/userinfo":   {name: "userinfo", methods: []string{http.MethodGet, http.MethodPost}, handle: p.serveUserinfo},
		mount + "/jwks":       {name: "jwks", methods: get, handle: p.serveJWKS},

		mount + wellKnownOIDC:        metadata,
		wellKnownOIDC + issuerPath:   metadata,
		wellKnownServer + issuerPath: metadata,
	}
	for _, path := range p.resourceMetadataPaths() {
		endpoints[path] = endpoint{name: "resource metadata", methods: get, handle: p.serveResourceMetadata}
	}
	return endpoints
}

// crossOrigin reports whether scripts of any origin may call the endpoint.
func (e endpoint) crossOrigin() bool { return !e.page && !e.serversOnly }

// find returns the endpoint at an URL path.
func (p *Provider) find(path string) (endpoint, bool) {
	if found, ok := p.endpoints[path]; ok {
		return found, true
	}
	id, ok := strings.CutPrefix(path, p.config.MountPath+interactionsPrefix)
	if !ok {
		return endpoint{}, false
	}
	return endpoint{
		name: "interaction", methods: []string{http.MethodGet, http.MethodPost}, page: true, form: true,
		handle: func(w http.ResponseWriter, r *http.Request) { p.serveInteraction(w, r, id) },
	}, true
}

// serve answers one request: limits and method first, then the endpoint.
func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	found, ok := p.find(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := p.bounded(r.Context())
	defer cancel()
	info := &requestInfo{endpoint: found.name, arrived: p.now()}
	r = withInfo(r.WithContext(ctx), info)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	form := asJSON
	if found.page {
		form = asPage
	}
	defer p.recovered(w, r, form)
	info.id = newID("req_")

	if found.crossOrigin() && p.cors(w, r, found.methods...) {
		return
	}
	if err := p.admissible(w, r, found); err != nil {
		p.fail(w, r, err, form)
		return
	}
	found.handle(w, r)
}

// requestPatience is how long a request waits for the database and the host
// together. SQLite's busy handler and the retries above it take up to 20
// seconds.
const requestPatience = 30 * time.Second

// bounded limits how long a request may wait. A pool that is exhausted makes
// database/sql wait for ever: without a limit requests pile up where the client
// should be told to come back (A179).
func (p *Provider) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.patience > 0 {
		return context.WithTimeout(ctx, p.patience)
	}
	return context.WithTimeout(ctx, requestPatience)
}

// admissible refuses what no endpoint should have to look at.
func (p *Provider) admissible(w http.ResponseWriter, r *http.Request, found endpoint) error {
	if !slices.Contains(found.methods, r.Method) {
		allow := found.methods
		if found.crossOrigin() {
			allow = append(slices.Clone(allow), http.MethodOptions)
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return &oauthError{code: "invalid_request", status: http.StatusMethodNotAllowed, description: "This method is not allowed here."}
	}
	if len(r.URL.RawQuery) > maxQueryBytes {
		return &oauthError{code: "invalid_request", status: http.StatusRequestURITooLong, description: "The request is too long."}
	}
	if r.ContentLength > maxBodyBytes {
		return errBodyTooLarge
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	if found.form && r.Method == http.MethodPost {
		return readFormInTime(w, r)
	}
	return nil
}

// bodyPatience is how long a form may take to arrive: a few kilobytes.
const bodyPatience = 10 * time.Second

// readFormInTime reads the form under a deadline, or who sends a byte a minute
// keeps a goroutine for as long as they like (A189). A host whose server has a
// ReadTimeout has decided for itself.
func readFormInTime(w http.ResponseWriter, r *http.Request) error {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server != nil && server.ReadTimeout > 0 {
		_, err := readForm(r)
		return err
	}
	// Writers that know no deadlines are those of tests and of middleware that
	// hides them; there the host's limits are all there is.
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(bodyPatience))
	if _, err := readForm(r); err != nil {
		// The deadline stays, for what net/http does with the rest of the body.
		return err
	}
	_ = controller.SetReadDeadline(time.Time{})
	return nil
}

// recovered turns a panic, in a host callback perhaps, into a 500 that says
// nothing. The panic's value stays out of the log, since it may quote a token;
// the stack shows addresses only.
func (p *Provider) recovered(w http.ResponseWriter, r *http.Request, form errorForm) {
	value := recover()
	if value == nil {
		return
	}
	if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(value)
	}
	p.config.Logger.LogAttrs(r.Context(), slog.LevelError, "lockspire: panic",
		slog.String("request_id", infoOf(r).id),
		slog.String("type", fmt.Sprintf("%T", value)),
		slog.String("stack", string(debug.Stack())))
	e := asOAuthError(errPanic)
	if form == asJSON {
		p.failJSON(w, e)
		return
	}
	p.builtInErrorPage(w, r, e)
}

var errPanic = errors.New("panic")

// newProvider checks everything that can be checked before the first request.
func newProvider(ctx context.Context, config Config) (*Provider, error) {
	secrets, secretsErr := newSecretSet(config.Secrets)
	config, err := normalize(config)
	if err := errors.Join(err, secretsErr); err != nil {
		return nil, fmt.Errorf("lockspire: %w", err)
	}
	issuer, err := parseIssuer(config.Issuer)
	if err != nil {
		return nil, err
	}
	p := &Provider{
		config:     config,
		store:      newStore(config.DB, config.Dialect, config.Schema),
		secrets:    secrets,
		now:        config.Now,
		origin:     issuer.Scheme + "://" + issuer.Host,
		issuerPath: issuer.Path,
		hierarchy:  newHierarchy(config.Scopes),
	}
	if config.Dialect == SQLite {
		p.store.prepared = &preparedReads{DB: config.DB}
	}
	p.closing, p.stop = context.WithCancel(context.Background())
	p.clients = &Clients{store: p.store, now: p.now, emit: p.emit}
	p.keyRows = providerKeys(p)
	if err := p.open(ctx); err != nil {
		p.close()
		return nil, fmt.Errorf("lockspire: %w", err)
	}
	p.endpoints = p.newEndpoints()
	return p, nil
}

// open reads what the database has to say.
func (p *Provider) open(ctx context.Context) error {
	if err := p.store.ready(ctx, p.config.Issuer); err != nil {
		return err
	}
	var err error
	if p.metadata, err = newMetadata(p.config); err != nil {
		return err
	}
	maxAge := fmt.Sprintf("public, max-age=%d", int(p.config.TTLs.JWKSMaxAge.Seconds()))
	p.keys, err = openKeyring(ctx, p.keyRows, maxAge)
	p.keyRows.ring = p.keys
	return err
}

// background runs fn until ctx or the provider ends, so that Close can wait
// for it.
func (p *Provider) background(ctx context.Context, fn func(context.Context) error) error {
	p.running.RLock()
	defer p.running.RUnlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.closing, cancel)()
	return fn(ctx)
}

func (p *Provider) close() error {
	p.stop()
	p.running.Lock()
	defer p.running.Unlock()
	if p.store.prepared != nil {
		p.store.prepared.close()
	}
	return nil
}
