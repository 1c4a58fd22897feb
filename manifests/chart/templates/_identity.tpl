{{/*
weft.identity fills .Values.identity.made with the roots and the issuer, once
for all templates: those of the values; or those that the cluster already has;
or new ones.
*/}}
{{- define "weft.identity" -}}
{{- if not (hasKey .Values.identity "made") }}
{{- $v := .Values.identity }}
{{- $made := dict }}
{{- if or $v.issuer.crtPEM $v.issuer.keyPEM $v.issuer.external }}
  {{- if not $v.trustAnchorsPEM }}
    {{- fail "identity.trustAnchorsPEM: is needed where the issuer is given" }}
  {{- end }}
  {{- if and (not $v.issuer.external) (not (and $v.issuer.crtPEM $v.issuer.keyPEM)) }}
    {{- fail "identity.issuer: crtPEM and keyPEM belong together" }}
  {{- end }}
  {{- $made = dict "roots" $v.trustAnchorsPEM "crt" $v.issuer.crtPEM "key" $v.issuer.keyPEM }}
{{- else if $v.trustAnchorsPEM }}
  {{- fail "identity.issuer: crtPEM and keyPEM are needed where identity.trustAnchorsPEM is given" }}
{{- else }}
  {{- $secret := lookup "v1" "Secret" .Release.Namespace "weft-identity-issuer" }}
  {{- $roots := lookup "v1" "ConfigMap" .Release.Namespace "weft-trust-roots" }}
  {{- if and $secret $roots }}
    {{- $made = dict "roots" (index $roots.data "ca-bundle.crt") "crt" (index $secret.data "crt.pem" | b64dec) "key" (index $secret.data "key.pem" | b64dec) }}
  {{- else if and .Release.IsUpgrade (or $secret $roots) }}
    {{- fail "of the Secret weft-identity-issuer and the ConfigMap weft-trust-roots one is missing, and a new identity would cut off the proxies that run; restore it, or delete the other one to have a new identity made" }}
  {{- else }}
    {{- $ca := genCAWithKey (printf "root.%s.%s" .Release.Namespace $v.trustDomain) 3650 (genPrivateKey "ecdsa") }}
    {{- $made = dict "roots" $ca.Cert "crt" $ca.Cert "key" $ca.Key }}
  {{- end }}
{{- end }}
{{- $_ := set .Values.identity "made" $made }}
{{- end }}
{{- end }}
