package main

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockspire/lockspire/internal/plan"
	lockspire "github.com/lockspire/lockspire/runtime"
)

func newClient(t *terminal) *cobra.Command {
	return group(&cobra.Command{
		Use:   "client",
		Short: "Register, list and disable client applications",
		Example: `  lockspire client create --name "Partner" --redirect-uri https://partner.example/callback
  lockspire client list
  lockspire client rotate-secret client_x
  lockspire client disable client_x`,
	}, newClientCreate(t), newClientList(t), newClientRotateSecret(t), newClientDisable(t))
}

// clientCreate is what the flags of `client create` fill.
type clientCreate struct {
	databaseFlags
	lockspire.NewClient
	public, json bool
	// accessToken is the format of access tokens.
	accessToken string
}

func newClientCreate(t *terminal) *cobra.Command {
	var o clientCreate
	cmd := &cobra.Command{
		Use:   "create --name <name> --redirect-uri <uri>",
		Short: "Register a client and show its secret once",
		Example: `  lockspire client create --name "Partner" --redirect-uri https://partner.example/callback \
      --scope openid --scope notes:read
  lockspire client create --name "Phone app" --public --redirect-uri com.example.app:/callback
  lockspire client create --name "Nightly job" --grant-type client_credentials --scope notes:read`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, t) },
	}
	o.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.Name, "name", "", "`<name>` that users see; required")
	flags.StringArrayVar(&o.RedirectURIs, "redirect-uri", nil, "`<uri>` that sign-in returns to; repeat for several; required unless nobody signs in through the client")
	flags.StringVar(&o.AuthMethod, "auth-method", "", "`<method>` at the token endpoint: client_secret_basic (default), client_secret_post or none")
	flags.BoolVar(&o.public, "public", false, "the client cannot keep a secret: --auth-method none")
	flags.StringArrayVar(&o.Scopes, "scope", nil, "`<scope>` the client may ask for; repeat for several (default openid)")
	flags.StringArrayVar(&o.GrantTypes, "grant-type", nil, "grant `<type>`, authorization_code, refresh_token or client_credentials; repeat (default the first two)")
	flags.StringArrayVar(&o.Resources, "resource", nil, "`<url>` of an API the client may ask tokens for; repeat (default all)")
	flags.StringArrayVar(&o.IntrospectsFor, "introspects-for", nil, "`<url>` of an API that this client serves, so that it may introspect tokens for it; repeat")
	flags.StringVar(&o.accessToken, "access-token", "jwt", "`<format>` of the client's access tokens: jwt, or opaque, which only this app can read")
	flags.StringVar(&o.IntrospectionAlg, "introspection-alg", "", "`<alg>` of introspection answers that are asked for as JWTs, RS256 (default) or ES256")
	flags.StringVar(&o.IDTokenAlg, "id-token-alg", "", "`<alg>` of ID tokens, RS256 (default) or ES256")
	flags.BoolVar(&o.PKCEOptional, "pkce-optional", false, "the client's software cannot send a code_challenge; weaker, for clients with a secret only")
	flags.BoolVar(&o.Trusted, "trusted", false, "you vouch for the client: consent is remembered, prompt=none works")
	flags.BoolVar(&o.json, "json", false, "print JSON, with the names of RFC 7591")
	return cmd
}

func (o *clientCreate) run(cmd *cobra.Command, t *terminal) error {
	var missing []string
	if o.Name == "" {
		missing = append(missing, "--name")
	}
	if len(o.RedirectURIs) == 0 && o.returnsPeople() {
		missing = append(missing, "--redirect-uri")
	}
	if len(missing) > 0 {
		return usage(cmd, "%s missing", strings.Join(missing, " and ")+map[bool]string{false: " is", true: " are"}[len(missing) > 1])
	}
	if o.public {
		if o.AuthMethod != "" && o.AuthMethod != lockspire.AuthNone {
			return usage(cmd, "--public and --auth-method %s contradict each other", o.AuthMethod)
		}
		o.AuthMethod = lockspire.AuthNone
	}
	if o.accessToken != "jwt" && o.accessToken != "opaque" {
		return usage(cmd, "--access-token %q is not jwt or opaque", o.accessToken)
	}
	o.OpaqueAccessTokens = o.accessToken == "opaque"
	// People write --scope "openid profile" as often as two flags.
	o.Scopes = strings.Fields(strings.Join(o.Scopes, " "))
	db, err := o.open(cmd, t, false)
	if err != nil {
		return err
	}
	defer db.Close()
	status, err := db.ready(cmd.Context())
	if err != nil {
		return err
	}
	client, secret, err := lockspire.NewClients(db.DB, db.dialect, db.schema).Create(cmd.Context(), o.NewClient)
	if err != nil && isDatabaseFault(err) {
		return databaseRefusal(err, "lockspire migrate status")
	}
	if err != nil {
		return usage(cmd, "%s", inFlags(err))
	}
	if o.json {
		out := clientJSON(client)
		if secret != "" {
			out["client_secret"] = secret
		}
		if status.Issuer != "" {
			out["issuer"] = status.Issuer
		}
		return t.json(out)
	}
	return printCreated(t, client, secret, status.Issuer)
}

// returnsPeople reports whether people sign in through the client, so that it
// needs an address to send them back to.
func (o *clientCreate) returnsPeople() bool {
	switch len(o.GrantTypes) {
	case 0:
		return len(o.IntrospectsFor) == 0
	case 1:
		return o.GrantTypes[0] != "client_credentials"
	}
	return true
}

// inFlags spells the fields of the runtime's errors as flags.
func inFlags(err error) string {
	text := err.Error()
	for _, f := range [][2]string{{"Name", "name"}, {"AuthMethod", "auth-method"}, {"RedirectURIs", "redirect-uri"}, {"GrantTypes", "grant-type"},
		{"Scopes", "scope"}, {"Resources", "resource"}, {"IDTokenAlg", "id-token-alg"}, {"IntrospectsFor", "introspects-for"}, {"IntrospectionAlg", "introspection-alg"}, {"PKCEOptional", "pkce-optional"}} {
		text = strings.ReplaceAll("\n"+text, "\n"+f[0]+": ", "\n--"+f[1]+": ")[1:]
	}
	return text
}

func printCreated(t *terminal, c lockspire.Client, secret, issuer string) error {
	if issuer == "" {
		issuer = "the issuer of your app (it has not started on this database yet)"
	}
	rows := [][]string{{"issuer", issuer}, {"client_id", c.ID}}
	if secret != "" {
		rows = append(rows, []string{"client_secret", secret})
	}
	for _, uri := range c.RedirectURIs {
		rows = append(rows, []string{"redirect_uri", uri})
	}
	rows = append(rows,
		[]string{"token_endpoint_auth_method", c.AuthMethod},
		[]string{"grant_types", strings.Join(c.GrantTypes, " ")},
		[]string{"scope", strings.Join(c.Scopes, " ")},
		[]string{"id_token_signed_response_alg", c.IDTokenAlg})
	if len(c.Resources) > 0 {
		rows = append(rows, []string{"resource", strings.Join(c.Resources, " ")})
	}
	if c.OpaqueAccessTokens {
		rows = append(rows, []string{"access_token_format", "opaque"})
	}
	if c.PKCEOptional {
		rows = append(rows, []string{"pkce", "optional"})
	}
	if len(c.IntrospectsFor) > 0 {
		rows = append(rows, []string{"introspects_for", strings.Join(c.IntrospectsFor, " ")})
	}
	if err := t.table(rows); err != nil {
		return err
	}
	if secret != "" {
		t.warnf("Registered %s. The secret is shown this once: only its hash is kept.", visible(c.Name))
	} else {
		t.warnf("Registered %s, which has no secret: it must use PKCE, and every client does.", visible(c.Name))
	}
	return nil
}

// clientJSON is a client in the words of RFC 7591.
func clientJSON(c lockspire.Client) map[string]any {
	out := map[string]any{
		"client_id": c.ID, "client_name": c.Name, "token_endpoint_auth_method": c.AuthMethod,
		"redirect_uris": c.RedirectURIs, "grant_types": c.GrantTypes, "scope": strings.Join(c.Scopes, " "),
		"id_token_signed_response_alg": c.IDTokenAlg, "trusted": c.Trusted,
		"client_id_issued_at": c.CreatedAt.Unix(), "disabled": !c.DisabledAt.IsZero(),
	}
	if len(c.Resources) > 0 {
		out["resources"] = c.Resources
	}
	if c.OpaqueAccessTokens {
		out["access_token_format"] = "opaque"
	}
	if c.PKCEOptional {
		out["pkce_optional"] = true
	}
	if len(c.IntrospectsFor) > 0 {
		out["introspects_for"] = c.IntrospectsFor
		out["introspection_signed_response_alg"] = c.IntrospectionAlg
	}
	return out
}

func newClientList(t *terminal) *cobra.Command {
	var o databaseFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the registered clients, newest first",
		Example: "  lockspire client list\n  lockspire client list --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := o.open(cmd, t, false)
			if err != nil {
				return err
			}
			defer db.Close()
			if _, err := db.ready(cmd.Context()); err != nil {
				return err
			}
			clients, err := lockspire.NewClients(db.DB, db.dialect, db.schema).List(cmd.Context())
			if err != nil {
				return databaseRefusal(err, "lockspire migrate status")
			}
			if asJSON {
				out := []map[string]any{}
				for _, c := range clients {
					out = append(out, clientJSON(c))
				}
				return t.json(out)
			}
			return printClients(t, clients)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the names of RFC 7591")
	return cmd
}

func printClients(t *terminal, clients []lockspire.Client) error {
	if len(clients) == 0 {
		t.warnf("No client is registered. Register one with: lockspire client create --name <name> --redirect-uri <uri>")
		return nil
	}
	rows := [][]string{{"CLIENT ID", "NAME", "AUTH", "SCOPE", "CREATED", "STATE"}}
	for _, c := range clients {
		state := "live"
		if !c.DisabledAt.IsZero() {
			state = "disabled " + c.DisabledAt.UTC().Format(time.DateOnly)
		} else if c.Trusted {
			state = "live, trusted"
		}
		if c.PKCEOptional {
			state += ", PKCE optional"
		}
		scopes := append([]string(nil), c.Scopes...)
		sort.Strings(scopes)
		rows = append(rows, []string{c.ID, c.Name, c.AuthMethod, strings.Join(scopes, " "), c.CreatedAt.UTC().Format(time.DateOnly), state})
	}
	return t.table(rows)
}

func newClientDisable(t *terminal) *cobra.Command {
	var o databaseFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "disable <client-id>",
		Short:   "Stop a client at once, with its codes and tokens",
		Example: "  lockspire client disable client_x",
		Args:    oneClient,
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := o.open(cmd, t, false)
			if err != nil {
				return err
			}
			defer db.Close()
			if _, err := db.ready(cmd.Context()); err != nil {
				return err
			}
			clients := lockspire.NewClients(db.DB, db.dialect, db.schema)
			if err := clients.Disable(cmd.Context(), args[0]); err != nil {
				return clientRefusal(err, args[0])
			}
			client, err := clients.Get(cmd.Context(), args[0])
			if err != nil {
				return clientRefusal(err, args[0])
			}
			if asJSON {
				return t.json(clientJSON(client))
			}
			t.printf("disabled %s (%s): it cannot sign anybody in, and its codes and tokens stopped working\n", client.ID, visible(client.Name))
			return nil
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the names of RFC 7591")
	return cmd
}

func clientRefusal(err error, id string) error {
	if errors.Is(err, lockspire.ErrClientNotFound) {
		return &plan.Refusal{Exit: exitFindings, What: fmt.Sprintf("no client has the id %q", id), Next: "lockspire client list"}
	}
	return databaseRefusal(err, "lockspire migrate status")
}
