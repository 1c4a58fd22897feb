package redirect

func backends() []backend { return []backend{nft{}, legacy{}} }
