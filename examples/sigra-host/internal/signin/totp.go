package signin

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"time"
)

// period is how long a code lasts.
const period = 30 * time.Second

// Code is the six-digit code of an authenticator app at a time (RFC 6238, with
// SHA-1 as every such app has it).
func Code(secret []byte, at time.Time) string {
	mac := hmac.New(sha1.New, secret)
	binary.Write(mac, binary.BigEndian, step(at))
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f
	number := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%06d", number%1_000_000)
}

func step(at time.Time) int64 { return at.Unix() / int64(period/time.Second) }
