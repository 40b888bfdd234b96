package lockspire

import (
	"context"
	"errors"
	"time"
)

// rotationOnce is how long after a rotation asking for one again does nothing:
// two operators who rotate at once mean the same rotation.
const rotationOnce = time.Minute

// tendKeys is what Run does about the signing keys: make what is missing, let
// a next key take over that is due, seal again what an older secret sealed, and
// read the rows.
func (p *Provider) tendKeys(ctx context.Context) error {
	err := p.keyRows.tend(ctx)
	if err := p.keys.refresh(ctx, 0); err != nil {
		return err
	}
	return errors.Join(err, p.keys.set.Load().missing())
}

func (k *Keys) tend(ctx context.Context) error {
	var problems []error
	for _, alg := range signingAlgs {
		problems = append(problems, k.tendAlg(ctx, alg))
	}
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.secretID != k.secrets.id() && k.secrets.has(row.secretID) {
			problems = append(problems, k.reseal(ctx, row))
		}
	}
	return errors.Join(problems...)
}

// tendAlg takes the keys of one algorithm as far as they are due. Whatever it
// reads may be old when it acts; each step is conditional on it.
func (k *Keys) tendAlg(ctx context.Context, alg string) error {
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return err
	}
	active, next := byState(rows, alg, KeyActive), byState(rows, alg, KeyNext)
	if active != nil && next != nil && k.due(active, next) {
		if _, err := k.promote(ctx, *active, *next); err != nil {
			return err
		}
		next = nil
	}
	if active == nil {
		if err := k.create(ctx, alg, KeyActive, k.secrets.id()); err != nil {
			return err
		}
	}
	if next == nil {
		return k.create(ctx, alg, KeyNext, k.secrets.id())
	}
	return nil
}

// due reports whether next takes over now: it was asked for or the active key
// has signed long enough, and clients have had the time to read it.
func (k *Keys) due(active, next *keyRow) bool {
	aged := !k.now().Before(active.activatedAt.Add(k.period))
	return (aged || !next.activatedAt.IsZero()) && k.published(next)
}

// published reports whether every client that caches the key set as told has
// read next, from a replica that has read the row.
func (k *Keys) published(next *keyRow) bool {
	return !k.now().Before(next.createdAt.Add(k.publish))
}

func (k *Keys) rotate(ctx context.Context, immediately bool) ([]Rotation, error) {
	var all []Rotation
	for _, alg := range signingAlgs {
		rotation, err := k.rotateAlg(ctx, alg, immediately)
		if err != nil {
			return all, err
		}
		all = append(all, rotation)
	}
	k.reread(ctx)
	return all, nil
}

func (k *Keys) rotateAlg(ctx context.Context, alg string, immediately bool) (Rotation, error) {
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return Rotation{}, err
	}
	active := byState(rows, alg, KeyActive)
	if active == nil {
		return Rotation{}, ErrNoKeys
	}
	rotation := Rotation{Alg: alg, Active: active.kid}
	if !immediately && k.now().Before(active.activatedAt.Add(rotationOnce)) {
		return rotation, nil
	}
	next := byState(rows, alg, KeyNext)
	if next == nil {
		if next, err = k.makeNext(ctx, *active); err != nil {
			return rotation, err
		}
	}
	if next == nil {
		return k.rotatedElsewhere(ctx, rotation)
	}
	if !immediately && !k.published(next) {
		rotation.Waiting = next.kid
		return rotation, k.request(ctx, *next)
	}
	won, err := k.promote(ctx, *active, *next)
	if err != nil {
		return rotation, err
	}
	if won {
		rotation.Retired, rotation.Active = active.kid, next.kid
		if _, err := k.makeNext(ctx, *active); err != nil && !errors.Is(err, ErrSecretsNeeded) {
			return rotation, err
		}
		return rotation, nil
	}
	return k.rotatedElsewhere(ctx, rotation)
}

// rotatedElsewhere is the answer where another replica was first.
func (k *Keys) rotatedElsewhere(ctx context.Context, rotation Rotation) (Rotation, error) {
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return rotation, err
	}
	if active := byState(rows, rotation.Alg, KeyActive); active != nil {
		rotation.Active = active.kid
	}
	return rotation, nil
}

// makeNext makes a next key, sealed as the provider seals, and returns the one
// that is there then. It is nil where that one was used already.
func (k *Keys) makeNext(ctx context.Context, active keyRow) (*keyRow, error) {
	secretID, err := k.sealingSecret(active)
	if err != nil {
		return nil, err
	}
	if err := k.create(ctx, active.alg, KeyNext, secretID); err != nil {
		return nil, err
	}
	rows, err := k.store.readKeys(ctx, k.now())
	if err != nil {
		return nil, err
	}
	return byState(rows, active.alg, KeyNext), nil
}

// sealingSecret is the secret to seal a new key with: the provider's own. A
// tool uses the one that a present key is sealed with, since a key that no
// replica can open would stop them all.
func (k *Keys) sealingSecret(present keyRow) (string, error) {
	switch {
	case k.ring != nil:
		return k.secrets.id(), nil
	case k.secrets == nil || !k.secrets.has(present.secretID):
		return "", ErrSecretsNeeded
	}
	return present.secretID, nil
}

func byState(rows []keyRow, alg, state string) *keyRow {
	for i := range rows {
		if rows[i].alg == alg && rows[i].state == state {
			return &rows[i]
		}
	}
	return nil
}
