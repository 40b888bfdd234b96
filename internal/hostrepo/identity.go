package hostrepo

import (
	"go/types"
	"regexp"
	"strings"
)

// identity is the way from a value to the id of an account.
type identity struct {
	account string   // the type whose id it is: "accounts.User"
	path    string   // behind the value: ".User.ID"
	checks  []string // what may be nil on the way: "", ".User"
	form    string   // one of the ID constants
	zero    string   // what the id is when there is none, "" when it cannot be compared with a literal
	problem string   // why the id is no text
}

var (
	idMembers    = []string{"ID", "Id", "UserID", "UserId", "AccountID", "AccountId", "UID", "UUID", "GetID", "GetId", "id", "userID", "userId"}
	ownerIDs     = []string{"UserID", "UserId", "AccountID", "AccountId", "MemberID", "Uid", "UID", "GetUserID", "Subject", "userID", "accountID", "uid"}
	owners       = []string{"User", "Account", "CurrentUser", "Member", "GetUser", "user", "account"}
	person       = regexp.MustCompile(`(?i)(user|account|member|person|profile|customer|principal|identity|viewer|actor|author)`)
	aroundPerson = regexp.MustCompile(`(?i)(session|scope|claims|token|context|auth|state|cookie)$`)
)

// identityOf finds the account's id in a value of type t, for code of the package from (nil for a package that can only name
// what is exported). A session has an id too, and is not meant: only of what is named like a person the id counts.
func identityOf(t types.Type, from *types.Package, depth int) (identity, bool) {
	n := namedOf(t)
	if n == nil || depth > 2 {
		return identity{}, false
	}
	named := n.Obj().Name()
	id := identity{account: types.TypeString(n, (*types.Package).Name)}
	if nilable(t) {
		id.checks = []string{""}
	}
	members := ownerIDs
	if person.MatchString(named) && !aroundPerson.MatchString(named) {
		members = idMembers
	}
	for _, name := range members {
		member, text := memberOf(t, from, name)
		if member == nil {
			continue
		}
		id.path, id.form, id.zero = "."+text, idForm(member), zeroOf(member)
		if id.form == "" {
			id.problem = "the id " + named + "." + text + " is a " + types.TypeString(member, (*types.Package).Name)
		}
		return id, true
	}
	for _, name := range owners {
		member, text := memberOf(t, from, name)
		if member == nil {
			continue
		}
		if inner, ok := identityOf(member, from, depth+1); ok {
			inner.path = "." + text + inner.path
			for i := range inner.checks {
				inner.checks[i] = "." + text + inner.checks[i]
			}
			inner.checks = append(id.checks, inner.checks...)
			return inner, true
		}
	}
	return identity{}, false
}

// memberOf is the type of a field, or of what a method without parameters returns, and how it is written. Embedded structs
// are looked into: a base model has the id.
func memberOf(t types.Type, from *types.Package, name string) (types.Type, string) {
	pkg := from
	if pkg == nil {
		pkg = types.NewPackage("", "")
	}
	obj, _, _ := types.LookupFieldOrMethod(t, true, pkg, name)
	switch obj := obj.(type) {
	case *types.Var:
		if obj.Exported() || obj.Pkg() == from {
			return obj.Type(), name
		}
	case *types.Func:
		sig := obj.Signature()
		if (obj.Exported() || obj.Pkg() == from) && sig.Params().Len() == 0 && sig.Results().Len() == 1 {
			return sig.Results().At(0).Type(), name + "()"
		}
	}
	return nil, ""
}

func nilable(t types.Type) bool {
	switch types.Unalias(t).Underlying().(type) {
	case *types.Pointer, *types.Interface:
		return true
	}
	return false
}

// idForm says how a value of type t becomes text, "" when it is no id: a pointer, bytes, a struct without String.
func idForm(t types.Type) string {
	if _, isParam := types.Unalias(t).(*types.TypeParam); isParam {
		return ""
	}
	if b, ok := t.Underlying().(*types.Basic); ok {
		_, plain := types.Unalias(t).(*types.Basic)
		switch info := b.Info(); {
		case info&types.IsString != 0 && plain:
			return IDString
		case info&types.IsString != 0:
			return IDText
		case info&types.IsUnsigned != 0 && plain && b.Kind() == types.Uint64:
			return IDUint64
		case info&types.IsUnsigned != 0:
			return IDUnsigned
		case info&types.IsInteger != 0 && plain && b.Kind() == types.Int64:
			return IDInt64
		case info&types.IsInteger != 0:
			return IDSigned
		}
		return ""
	}
	if _, pointer := t.Underlying().(*types.Pointer); pointer {
		return ""
	}
	obj, _, _ := types.LookupFieldOrMethod(t, false, nil, "String")
	m, ok := obj.(*types.Func)
	if !ok {
		return ""
	}
	sig := m.Signature()
	if sig.Params().Len() == 0 && sig.Results().Len() == 1 && types.Identical(sig.Results().At(0).Type(), types.Typ[types.String]) {
		return IDStringer
	}
	return ""
}

func zeroOf(t types.Type) string {
	switch form := idForm(t); {
	case form == IDString || form == IDText:
		return `""`
	case form != "" && form != IDStringer:
		return "0"
	}
	return ""
}

// namesAccountID reports whether a func that returns nothing but an id is named like one of an account.
func namesAccountID(name string) bool {
	return person.MatchString(name) && !otherKey.MatchString(name) && !strings.HasPrefix(strings.ToLower(name), "new")
}
