# SPDX-License-Identifier: GPL-3.0-or-later
#
# What R's fitdistrplus makes of its own data sets and of simulated ones:  Rscript fit_oracle.R DIRECTORY SEED
# Writes a file of numbers for each case into DIRECTORY, and one line for each fit to standard output:
#   FILE OPTIONS FAMILY NAME=VALUE... loglik=VALUE [ks=VALUE ad=VALUE]        (tabs between them)
# Its optimiser stops early by default, so it is given another, which repeats itself at a tolerance of 1e-15.
suppressMessages(library(fitdistrplus))
suppressMessages(library(MASS))
arguments <- commandArgs(trailingOnly = TRUE)
directory <- arguments[1]
set.seed(as.integer(arguments[2]))

families <- list(
  exponential = list(r = "exp", names = "rate"),
  normal = list(r = "norm", names = c("mean", "sd")),
  lognormal = list(r = "lnorm", names = c("meanlog", "sdlog")),
  gamma = list(r = "gamma", names = c("shape", "rate")),
  weibull = list(r = "weibull", names = c("shape", "scale"))
)

number <- function(x) sprintf("%.17g", x)

write_numbers <- function(name, text) {
  writeLines(text, file.path(directory, name))
  name
}

tell <- function(file, options, family, values) {
  cat(file, options, family, paste0(names(values), "=", number(values)), sep = "\t")
  cat("\n")
}

# For fitdist() and fitdistcens(): Nelder and Mead's method, again and again from where it stopped until nothing is
# gained. Steps are relative to the parameters, which may be of very different size.
optimise <- function(fn, par, ...) {
  run <- function(par) {
    optim(par, function(p) {
      value <- suppressWarnings(fn(p, ...))
      if (is.finite(value)) value else 1e300
    }, control = list(reltol = 1e-15, maxit = 20000, parscale = pmax(abs(par), 1e-12)))
  }
  fit <- run(par)
  for (i in 1:30) {
    again <- run(fit$par)
    gain <- fit$value - again$value
    if (gain >= 0) fit <- again
    if (gain < 1e-12) break
  }
  c(fit[c("par", "value", "convergence")], list(hessian = diag(length(par))))
}

# A start from moments of x: optim() leaves it alone where the default start is not even finite.
start_of <- function(family, x) {
  x <- x[x > 0]
  switch(family,
    exponential = list(rate = 1 / mean(x)),
    normal = list(mean = mean(x), sd = sd(x)),
    lognormal = list(meanlog = mean(log(x)), sdlog = sd(log(x))),
    gamma = list(shape = mean(x)^2 / var(x), rate = mean(x) / var(x)),
    weibull = list(shape = 1.2 / sd(log(x)), scale = exp(mean(log(x)) + 0.57 * sd(log(x)) / 1.2))
  )
}

# The mean of the smaller of a value and `timeout`, survival being that of the fit: the area below it.
area <- function(survival, timeout, from = 0) {
  cuts <- c(from, from + (timeout - from) * c(1e-6, 1e-4, 1e-2, 0.1, 0.3, 0.6, 1))
  from + sum(mapply(function(a, b) integrate(survival, a, b, rel.tol = 1e-9, subdivisions = 1000)$value,
                    head(cuts, -1), cuts[-1]))
}

survival_of <- function(family, p) {
  function(q) do.call(paste0("p", families[[family]]$r), c(list(q), unname(as.list(p)), lower.tail = FALSE))
}

raw_case <- function(file, x) {
  write_numbers(file, number(x))
  timeout <- unname(quantile(x, 0.8))
  options <- paste("--timeout", number(timeout))
  for (family in names(families)) {
    fit <- fitdist(x, families[[family]]$r, start = start_of(family, x), custom.optim = optimise)
    distance <- gofstat(fit)
    # It takes log(1 - p), which is infinite where a value is far out.
    ad <- if (is.finite(distance$ad)) c(ad = unname(distance$ad))
    held <- area(survival_of(family, fit$estimate[families[[family]]$names]), timeout)
    tell(file, options, family,
         c(fit$estimate[families[[family]]$names], loglik = fit$loglik, ks = unname(distance$ks), ad,
           restricted_mean = held))
  }
  # Closed forms.
  n <- length(x)
  rate <- 1 / (mean(x) - min(x))
  tell(file, options, "shifted_exponential",
       c(shift = min(x), rate = rate, loglik = n * log(rate) - n,
         restricted_mean = area(function(q) exp(-rate * (q - min(x))), timeout, min(x))))
  shape <- n / sum(log(x / min(x)))
  tell(file, options, "pareto",
       c(scale = min(x), shape = shape,
         loglik = n * log(shape) + n * shape * log(min(x)) - (shape + 1) * sum(log(x)),
         restricted_mean = area(function(q) (min(x) / q)^shape, timeout, min(x))))
}

interval_case <- function(file, options, intervals, start_values) {
  for (family in names(families)) {
    fit <- fitdistcens(intervals, families[[family]]$r, start = start_of(family, start_values), custom.optim = optimise)
    tell(file, options, family, c(fit$estimate[families[[family]]$names], loglik = fit$loglik))
  }
}

# fitdistcens() takes differences of the distribution function, which lose their digits where a family is far from
# fitting; this takes those of the survival function in the upper half, and logarithms of both.
interval_loglik <- function(family, p, left, right) {
  f <- function(q, lower) {
    do.call(paste0("p", families[[family]]$r), c(list(q), unname(as.list(p)), lower.tail = lower, log.p = TRUE))
  }
  beyond <- ifelse(is.na(right), Inf, right)
  upper <- f(left, TRUE) > log(0.5)
  larger <- ifelse(upper, f(left, FALSE), f(beyond, TRUE))
  smaller <- ifelse(upper, f(beyond, FALSE), f(left, TRUE))
  sum(larger + log1p(-exp(smaller - larger)))
}

tail_safe_case <- function(file, options, intervals, start_values) {
  for (family in names(families)) {
    start <- unlist(start_of(family, start_values))
    fit <- maximise(function(p) interval_loglik(family, p, intervals$left, intervals$right), start)
    # Where even these vanish there is nothing to compare with.
    if (fit$loglik > -1e299) tell(file, options, family, c(setNames(fit$par, names(start)), loglik = fit$loglik))
  }
}

censored_case <- function(file, x, censored) {
  write_numbers(file, paste0(number(x), ifelse(censored, "+", "")))
  interval_case(file, "", data.frame(left = x, right = ifelse(censored, NA, x)), x)
}

maximise <- function(loglik, start) {
  fit <- optimise(function(p) -loglik(p), start)
  list(par = fit$par, loglik = -fit$value)
}

binned_case <- function(file, x, schema, censored = rep(FALSE, length(x)), with = tail_safe_case) {
  write_numbers(file, paste0(number(x), ifelse(censored, "+", "")))
  per_octave <- 2^schema
  index <- ceiling(log2(x) * per_octave - 1e-9)
  left <- ifelse(censored, x, 2^((index - 1) / per_octave))
  right <- ifelse(censored, NA, 2^(index / per_octave))
  with(file, paste("--schema", schema), data.frame(left = left, right = right), x)
}

# Families that fitdistrplus has not, from bins: the parameters are found where p(q, parameters, lower) sums up best.
binned_family_case <- function(file, x, schema, family, p, back, start) {
  write_numbers(file, number(x))
  cells <- table(ceiling(log2(x) * 2^schema - 1e-9))
  index <- as.numeric(names(cells))
  left <- 2^((index - 1) / 2^schema)
  right <- 2^(index / 2^schema)
  fit <- maximise(function(eta) {
    upper <- p(left, eta, TRUE) > 0.5
    mass <- ifelse(upper, p(left, eta, FALSE) - p(right, eta, FALSE), p(right, eta, TRUE) - p(left, eta, TRUE))
    sum(cells * log(mass))
  }, start)
  timeout <- unname(quantile(x, 0.8))
  held <- area(function(q) p(q, fit$par, FALSE), timeout)
  tell(file, paste("--families", family, "--schema", schema, "--timeout", number(timeout)), family,
       c(back(fit$par), loglik = fit$loglik, restricted_mean = held))
}

p_shifted <- function(q, eta, lower) pexp(pmax(q - exp(eta[1]), 0), exp(eta[2]), lower.tail = lower)
p_pareto <- function(q, eta, lower) pexp(log(pmax(q / exp(eta[1]), 1)), exp(eta[2]), lower.tail = lower)
p_hyper <- function(q, eta, lower) {
  w <- plogis(eta[1])
  w * pexp(q, exp(eta[2]), lower.tail = lower) + (1 - w) * pexp(q, exp(eta[3]), lower.tail = lower)
}
p_mixture <- function(q, eta, lower) {
  w <- plogis(eta[1])
  w * plnorm(q, eta[2], exp(eta[3]), lower.tail = lower) + (1 - w) * plnorm(q, eta[4], exp(eta[5]), lower.tail = lower)
}

# Cells from the left are pooled until 5 values are expected, what is left at the end joins the last one.
pooled <- function(observed, expected) {
  cell <- integer(length(expected))
  sum_of <- 0
  k <- 1
  for (i in seq_along(expected)) {
    cell[i] <- k
    sum_of <- sum_of + expected[i]
    if (sum_of >= 5) {
      k <- k + 1
      sum_of <- 0
    }
  }
  cell <- pmin(cell, k - 1)
  list(o = tapply(observed, cell, sum), e = tapply(expected, cell, sum))
}

# Ranking, weights, and chi-square of binned values.
ranking_case <- function(file, x, schema) {
  write_numbers(file, number(x))
  n <- length(x)
  cells <- table(ceiling(log2(x) * 2^schema - 1e-9))
  observed <- as.numeric(cells)
  left <- 2^((as.numeric(names(cells)) - 1) / 2^schema)
  right <- 2^(as.numeric(names(cells)) / 2^schema)
  intervals <- data.frame(left = rep(left, observed), right = rep(right, observed))
  # Empty cells between the bins, below the first and beyond the last are cells too.
  edges <- sort(unique(c(left, right)))
  in_cell <- rep(0, length(edges) + 1)
  in_cell[match(left, edges) + 1] <- observed
  options <- paste("--schema", schema, "--families", paste(names(families), collapse = ","))
  fits <- lapply(setNames(names(families), names(families)), function(family) {
    maximise(function(p) interval_loglik(family, p, intervals$left, intervals$right), unlist(start_of(family, x)))
  })
  bic <- sapply(names(fits), function(f) length(fits[[f]]$par) * log(n) - 2 * fits[[f]]$loglik)
  weight <- exp(-(bic - min(bic)) / 2) / sum(exp(-(bic - min(bic)) / 2))
  for (family in names(fits)) {
    p <- c(do.call(paste0("p", families[[family]]$r), c(list(edges), unname(as.list(fits[[family]]$par)))))
    expected <- n * diff(c(0, p, 1))
    cell <- pooled(in_cell, expected)
    x2 <- sum((cell$o - cell$e)^2 / cell$e)
    df <- length(cell$o) - 1 - length(fits[[family]]$par)
    tell(file, options, family,
         c(bic = unname(bic[family]), aic = 2 * length(fits[[family]]$par) - 2 * fits[[family]]$loglik,
           weight = unname(weight[family]), x2 = x2, df = df, p = pchisq(x2, df, lower.tail = FALSE)))
  }
  tell(file, options, "ranked", rank(bic))
}

mixture_case <- function(file, x) {
  write_numbers(file, number(x))
  fit <- maximise(function(p) {
    w <- plogis(p[1])
    sum(log(w * dlnorm(x, p[2], exp(p[3])) + (1 - w) * dlnorm(x, p[4], exp(p[5]))))
  }, c(0, quantile(log(x), 0.25), -1, quantile(log(x), 0.75), -1))
  tell(file, "--families lognormal_mixture", "lognormal_mixture",
       setNames(c(plogis(fit$par[1]), fit$par[2], exp(fit$par[3]), fit$par[4], exp(fit$par[5]), fit$loglik),
                c("weight1", "meanlog1", "sdlog1", "meanlog2", "sdlog2", "loglik")))
}

hyperexponential_case <- function(file, x) {
  write_numbers(file, number(x))
  fit <- maximise(function(p) {
    w <- plogis(p[1])
    sum(log(w * dexp(x, exp(p[2])) + (1 - w) * dexp(x, exp(p[3]))))
  }, c(0, log(5 / mean(x)), log(0.3 / mean(x))))
  tell(file, "--families hyperexponential", "hyperexponential",
       setNames(c(plogis(fit$par[1]), exp(fit$par[2]), exp(fit$par[3]), fit$loglik),
                c("weight1", "rate1", "rate2", "loglik")))
}

tail_case <- function(file, x, threshold) {
  write_numbers(file, number(x))
  y <- x[x > threshold] - threshold
  fit <- maximise(function(p) {
    beta <- exp(p[2])
    if (any(1 + p[1] * y / beta <= 0)) return(-1e10)
    sum(-p[2] - (1 / p[1] + 1) * log1p(p[1] * y / beta))
  }, c(0.1, log(mean(y))))
  values <- setNames(c(fit$par[1], exp(fit$par[2])), c("xi", "beta"))
  p999 <- threshold + values["beta"] / values["xi"] * ((length(x) / length(y) * 0.001)^-values["xi"] - 1)
  tell(file, paste("--families exponential --threshold", number(threshold)), "tail",
       c(values, exceedances = length(y), p999 = unname(p999)))
}

counts_case <- function(file, x) {
  write_numbers(file, number(x))
  fit <- fitdist(x, "pois")
  tell(file, "--counts", "poisson", c(rate = unname(fit$estimate), loglik = fit$loglik))
  fit <- fitdist(x, "nbinom", start = list(size = mean(x)^2 / (var(x) - mean(x)), mu = mean(x)),
                 custom.optim = optimise)
  tell(file, "--counts", "negative_binomial",
       setNames(c(fit$estimate[c("size", "mu")], fit$loglik), c("size", "mean", "loglik")))
  # Another implementation, by alternating between the mean and the size.
  fit <- suppressWarnings(glm.nb(x ~ 1, control = glm.control(epsilon = 1e-14, maxit = 1000)))
  tell(file, "--counts", "negative_binomial",
       c(size = fit$theta, mean = unname(exp(coef(fit))), loglik = as.numeric(logLik(fit))))
}

data(groundbeef, danishuni, endosulfan, fluazinam, salinity, fremale, smokedfish, dataFAQlog1, toxocara)
raw_case("groundbeef", groundbeef$serving)
raw_case("danishuni", danishuni$Loss)
raw_case("endosulfan", endosulfan$ATV)
raw_case("fremale_ages", fremale$AgeOut)
# Returns of a share, gains among them: times are not negative.
raw_case("returns", dataFAQlog1[dataFAQlog1 > 0])
# Known to intervals only; their upper ends are numbers.
raw_case("smokedfish_ends", smokedfish$right[!is.na(smokedfish$right)])
ranking_case("groundbeef_ranked", groundbeef$serving, 3)
ranking_case("returns_ranked", dataFAQlog1[dataFAQlog1 > 0], 3)
binned_case("groundbeef_3", groundbeef$serving, 3, with = interval_case)
binned_case("groundbeef_0", groundbeef$serving, 0, with = interval_case)
binned_case("danishuni_5", danishuni$Loss, 5)
binned_case("endosulfan_2", endosulfan$ATV, 2)
# Exact and right-censored values; what is known only to lie in an interval has no place in a file of numbers.
right_censored <- function(d) {
  d <- d[!is.na(d$left) & (is.na(d$right) | d$left == d$right), ]
  list(x = d$left, censored = is.na(d$right))
}
for (name in c("fluazinam", "salinity")) {
  d <- right_censored(get(name))
  censored_case(name, d$x, d$censored)
}
censored_case("fremale", fremale$AgeOut, fremale$Death == 0)

# Simulated: milliseconds to seconds, few and many values, with a timeout or with random ends.
x <- rlnorm(2000, -4, 0.8)
raw_case("lognormal", x)
censored_case("lognormal_timeout", pmin(x, 0.04), x > 0.04)
binned_case("lognormal_8", x, 8)
x <- rgamma(300, 0.6, 20)
raw_case("gamma_low", x)
binned_case("gamma_low_4", x, 4)
x <- rgamma(500, 400, 1000)
raw_case("gamma_narrow", x)
binned_case("gamma_narrow_5", x, 5, with = interval_case)
x <- rweibull(60, 1.7, 0.25)
ends <- rexp(60, 2)
censored_case("weibull_random", pmin(x, ends), x > ends)
x <- rweibull(1000, 0.5, 3e-4)
raw_case("weibull_low", x)
binned_case("weibull_timeout_3", pmin(x, 1e-3), 3, x > 1e-3)
x <- rnorm(20, 0.05, 0.01)
raw_case("normal_few", x)
mixture_case("mixture", c(rlnorm(700, -5, 0.4), rlnorm(300, -3, 0.3)))
hyperexponential_case("hyperexponential", c(rexp(1500, 500), rexp(1000, 20)))
binned_family_case("shifted_3", 0.02 + rexp(800, 30), 3, "shifted_exponential", p_shifted,
                   function(eta) c(shift = exp(eta[1]), rate = exp(eta[2])), c(log(0.0195), log(30)))
binned_family_case("pareto_3", 0.013 * runif(800)^-0.5, 3, "pareto", p_pareto,
                   function(eta) c(scale = exp(eta[1]), shape = exp(eta[2])), c(log(0.0131), log(2)))
binned_family_case("hyperexponential_4", c(rexp(1500, 500), rexp(1000, 20)), 4, "hyperexponential", p_hyper,
                   function(eta) c(weight1 = plogis(eta[1]), rate1 = exp(eta[2]), rate2 = exp(eta[3])),
                   c(0, log(400), log(25)))
binned_family_case("mixture_4", c(rlnorm(700, -5, 0.4), rlnorm(300, -3, 0.3)), 4, "lognormal_mixture", p_mixture,
                   function(eta) c(weight1 = plogis(eta[1]), meanlog1 = eta[2], sdlog1 = exp(eta[3]),
                                   meanlog2 = eta[4], sdlog2 = exp(eta[5])),
                   c(0.5, -5.1, -1, -3.1, -1))
tail_case("danish_tail", danishuni$Loss, 5)
tail_case("pareto_tail", 0.01 * runif(3000)^-0.4, 0.02)
tail_case("short_tail", rbeta(2000, 2, 3), 0.7)
counts_case("toxocara", toxocara$number)
counts_case("bursts", rnbinom(500, size = 3.5, mu = 40))
counts_case("rare", rnbinom(3000, size = 0.2, mu = 0.05))
