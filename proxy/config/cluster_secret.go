package config

import "github.com/weftmesh/weft/identity"

// decodeSecret reads the trust bundle of a Secret.
func decodeSecret(b []byte) (name string, bundle *identity.Bundle, err error) {
	var pem []byte
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&name)
		case 4:
			return f.in("validation_context", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num != 1 {
						return nil
					}
					return f.in("trusted_ca", func(b []byte) error {
						return eachField(b, func(f field) (err error) {
							switch f.num {
							case 2, 3:
								pem, err = f.msg()
								return err
							}
							return unsupported("a data source that is not inline (field %d)", f.num)
						})
					})
				})
			})
		case 2, 3, 5:
			return unsupported("a secret other than validation_context (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		bundle, err = identity.ParseBundlePEM(pem)
	}
	return name, bundle, at("trusted_ca", err)
}
