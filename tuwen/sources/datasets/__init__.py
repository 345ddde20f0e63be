"""What the sources for data sets share: finding and cutting files, rows, tar members, column mappings, layouts."""
